//! The kinds of exchanges that are counted, and the Envoys that they run on.
//!
//! Policies have targets, as nearly all in real life, so the filter reads the route's name.
//! No policy acts unless the name of the case says so.

mod policies;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bootstrap::{cluster, upstream_filtered, wasm_filter};
use crate::{Bootstrap, Build, Builder, Request, Route, Upstream, build, repo};
pub(in crate::counts) use policies::SLICE;
use policies::{effective_policy, five, four, limit, without_headers};

/// A kind of exchange.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) listener: String,
    pub(super) request: Request,
    /// What it is answered with.
    pub(super) status: u16,
}

/// An Envoy, and what is sent to it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) bootstrap: Bootstrap,
    pub(super) cases: Vec<Case>,
}

/// A listener: a plugin configuration, and what is sent to it.
struct Listener {
    name: &'static str,
    policies: Vec<Value>,
    cluster: &'static str,
    sent: Vec<Sent>,
}

/// What is sent, a name for it, and the status that it is answered with.
type Sent = (&'static str, Request, u16);

/// The routes of a listener.
const ROUTES: &[&str] = &["direct", "proxied"];
const PLAIN: &str = "plain";
/// It has an instance of the filter behind the router.
const GATED: &str = "gated";
const BEHIND: &str = "all five, with an instance behind the router";

/// All kinds, and where they are counted.
pub(super) fn stages(upstream: &Upstream) -> Result<Vec<Stage>> {
    Ok(vec![
        hand_written(upstream)?,
        applied("four capabilities", &four(), upstream)?,
        applied("all five", &five(), upstream)?,
    ])
}

/// A listener for each plugin configuration.
fn hand_written(upstream: &Upstream) -> Result<Stage> {
    let gate = plugin(&[effective_policy(BEHIND, ROUTES, &five())], "Upstream");
    let mut builder = Builder::new()
        .cluster(PLAIN, upstream.addr())
        .raw_cluster(upstream_filtered(cluster(GATED, upstream.addr()), &gate)?);
    let mut cases = Vec::new();
    for listener in listeners() {
        builder = builder.listener(listener.config()?);
        for (way, request, status) in listener.sent {
            cases.push(Case {
                name: format!("{}, {way}", listener.name),
                listener: listener.name.to_owned(),
                request,
                status,
            });
        }
    }
    Ok(Stage {
        bootstrap: counting(builder.build()?)?,
        cases,
    })
}

/// What `btp apply` makes of a configuration with one route and one policy.
fn applied(name: &str, spec: &Value, upstream: &Upstream) -> Result<Stage> {
    let plain = Builder::new()
        .route(Route::cluster("/", PLAIN).named("proxied"))
        .cluster(PLAIN, upstream.addr())
        .build()?;
    let mut policy = effective_policy(name, &["proxied"], spec);
    policy["kind"] = json!("BackendTrafficPolicy");
    let (bootstrap, _) = plain.applied(&policy, &[])?;
    Ok(Stage {
        bootstrap: counting(bootstrap)?,
        cases: vec![Case {
            name: format!("{name} as btp apply writes them, proxied"),
            listener: "main".to_owned(),
            request: Request::get("/proxied"),
            status: 200,
        }],
    })
}

/// The configuration for the build under test; the module is the copy that counts.
fn counting(mut bootstrap: Bootstrap) -> Result<Bootstrap> {
    if Build::under_test()? == Build::Module {
        let mut adapted = Ok(());
        bootstrap.edit(|config| adapted = build::adapt(config));
        adapted?;
        let shipped = repo::module()?.display().to_string();
        let planted = repo::planted_module()?.display().to_string();
        bootstrap.replace_text(&shipped, &planted);
    }
    Ok(bootstrap)
}

fn listeners() -> Vec<Listener> {
    let both = || vec![direct(200), proxied(200)];
    let one = |name, spec: Value, sent| Listener {
        name,
        policies: vec![effective_policy(name, ROUTES, &spec)],
        cluster: PLAIN,
        sent,
    };
    let status = |code: u16, status| ("proxied", Request::get(&format!("/status/{code}")), status);
    let posted = (
        "POST, proxied",
        Request::post("/proxied", "x".repeat(20)),
        200,
    );
    vec![
        Listener {
            policies: Vec::new(),
            ..one("no policy at all", json!({}), both())
        },
        Listener {
            policies: vec![effective_policy("other", &["other"], &four())],
            ..one("policy of another route", json!({}), both())
        },
        one("fault", policies::fault(), both()),
        one("one limit", without_headers(limit()), both()),
        one("one limit with x-ratelimit headers", limit(), both()),
        one(
            "header rule that does not match",
            without_headers(policies::header_rule()),
            both(),
        ),
        one(
            "requestBuffer",
            policies::buffer(),
            vec![direct(200), proxied(200), posted],
        ),
        one(
            "responseOverride that does not match",
            policies::overriding(599),
            both(),
        ),
        one(
            "responseOverride that matches",
            policies::overriding(404),
            vec![status(404, 503)],
        ),
        one(
            "refusal by a limit",
            policies::refusing(),
            vec![proxied(429)],
        ),
        one("abort", policies::aborting(), vec![proxied(418)]),
        one("retry", policies::retry(), vec![proxied(200)]),
        one("four capabilities", without_headers(four()), both()),
        one("four capabilities with x-ratelimit headers", four(), both()),
        one("all five", five(), both()),
        Listener {
            cluster: GATED,
            ..one(BEHIND, five(), vec![proxied(200)])
        },
    ]
}

fn direct(status: u16) -> Sent {
    ("direct", Request::get("/direct"), status)
}

fn proxied(status: u16) -> Sent {
    ("proxied", Request::get("/proxied"), status)
}

fn plugin(policies: &[Value], position: &str) -> Value {
    json!({"policies": policies, "position": position, "allowOnHeadersStopIteration": true})
}

impl Listener {
    fn config(&self) -> Result<Value> {
        const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
        let filter = wasm_filter(&plugin(&self.policies, "Downstream"), true)?;
        let router = json!({"name": "router", "typed_config": {"@type": ROUTER}});
        let routes = json!([
            {"name": "direct", "match": {"path": "/direct"},
             "direct_response": {"status": 200, "body": {"inline_string": "hello"}}},
            {"name": "proxied", "match": {"prefix": "/"}, "route": {"cluster": self.cluster}}]);
        let manager = json!({
            "@type": HCM,
            "stat_prefix": "counts",
            "http_filters": [filter, router],
            "route_config": {"virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": routes}]}});
        Ok(json!({
            "name": self.name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}))
    }
}
