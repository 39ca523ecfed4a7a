//! A load with known numbers, for policies that have all capabilities. The senders count,
//! not the filter.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bootstrap::{cluster, upstream_filtered};
use crate::client::h1;
use crate::series::labelled;
use crate::{Body, Builder, Envoy, Prometheus, Request, Route, Upstream, wait};

/// Workers of the Envoy.
pub const WORKERS: u32 = 2;

/// The routes, each with a policy of its name.
pub const ROUTES: [&str; 6] = ["limits", "late", "broken", "pages", "bodies", "retries"];

/// How long requests are held while a scrape looks at them.
const HELD: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(30);

/// What client and upstream have counted of the retry budget.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Requests that failed.
    pub requests: f64,
    /// Tries beyond the first.
    pub retries: f64,
    /// Those whose response says that the budget was exhausted.
    pub refused: f64,
}

/// An Envoy with these policies.
pub async fn start(upstream: &Upstream) -> Result<Envoy> {
    let mut builder = Builder::new()
        .plugin(&plugin("Downstream"))
        .stop_iteration(true)
        .concurrency(WORKERS)
        .raw_cluster(upstream_filtered(
            cluster("backend", upstream.addr()),
            &plugin("Upstream"),
        )?);
    for name in ROUTES {
        builder = builder.route(Route::cluster(&format!("/{name}"), "backend").named(name));
    }
    Envoy::start(&labelled(builder.build()?)?).await
}

/// Holds requests, and yields when Prometheus has seen them. Histograms come with their first
/// value, so that these are the first delayed and queued ones.
pub async fn hold(envoy: &Envoy, prometheus: &Prometheus) -> Result<f64> {
    let addr = envoy.addr();
    let slow = format!("/limits?delay={}", HELD.as_millis());
    let half = |byte: &[u8]| (HELD, byte.repeat(300));
    let mut held = JoinSet::new();
    for request in [
        with_rule(&slow, "places"),
        with_rule(&slow, "places").header("x-vip", "1"),
        Request::get("/late"),
        Request::get("/late"),
        Request::post("/bodies", "").body(Body::streamed([
            (Duration::ZERO, b"a".repeat(300)),
            half(b"b"),
        ])),
    ] {
        held.spawn(async move { h1::send(addr, request).await });
    }
    let seen = "(sum(btp_rate_limit_in_flight) == 2) and on() (sum(btp_fault_active) == 2) \
                and on() (sum(btp_request_buffer_bytes) > 0)";
    let scrape = wait::until_async("what is held to be seen", PATIENCE, async || {
        let Some(at) = prometheus.last_scrape().await? else {
            return Ok(None);
        };
        let found = prometheus.query(seen, Some(at)).await?;
        Ok((!found.is_empty()).then_some(at))
    })
    .await?;
    statuses(envoy, with_rule("/limits", "places"), &[429; 2]).await?;
    let vip = with_rule("/limits", "places").header("x-vip", "1");
    statuses(envoy, vip, &[429]).await?;
    statuses(envoy, Request::get("/late"), &[200]).await?;
    queue(envoy).await?;
    while let Some(response) = held.join_next().await {
        let status = response??.status;
        ensure!(status == 200, "a held request is answered {status}");
    }
    Ok(scrape)
}

/// Everything else, one by one but for those that wait.
pub async fn load(envoy: &Envoy, upstream: &Upstream) -> Result<Retries> {
    statuses(
        envoy,
        with_rule("/limits", "few"),
        &[200, 200, 429, 429, 429],
    )
    .await?;
    statuses(envoy, with_rule("/limits", "shadow"), &[200; 5]).await?;
    statuses(envoy, with_rule("/limits", "keyed"), &[400; 2]).await?;
    statuses(envoy, Request::get("/broken"), &[503; 4]).await?;
    statuses(envoy, Request::get("/pages/status/410"), &[404; 2]).await?;
    statuses(envoy, Request::post("/bodies", [0; 2000]), &[413]).await?;
    statuses(envoy, Request::post("/bodies", [0; 500]), &[200]).await?;
    let (queued, late) = tokio::join!(queue(envoy), statuses(envoy, Request::get("/late"), &[200]));
    queued.and(late)?;
    retries(envoy, upstream).await
}

fn policy(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["targetRefs"] = json!([
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}]);
    json!({"metadata": {"name": name}, "spec": spec})
}

/// One for each route of [`ROUTES`], with all capabilities that count anything.
fn plugin(position: &str) -> Value {
    let with = |name: &str| json!([{"headers": [{"name": "x-rule", "value": name}]}]);
    let limits = json!({"rateLimit": {"local": {"rules": [
        {"name": "few", "clientSelectors": with("few"), "limit": {"requests": 2, "unit": "Hour"}},
        {"name": "shadow", "clientSelectors": with("shadow"), "shadowMode": true,
            "limit": {"requests": 1, "unit": "Hour"}},
        {"name": "queue", "clientSelectors": with("queue"), "queue": {"maxDelay": "9s"},
            "limit": {"requests": 2, "unit": "Second", "burst": 1}},
        {"name": "keyed", "limit": {"requests": 9, "unit": "Hour"},
            "clientSelectors": [{"headers": [{"name": "x-rule", "value": "keyed"},
                {"name": "x-user", "type": "Distinct", "onMissing": "Refuse"}]}]},
        {"name": "places", "clientSelectors": with("places"), "concurrency": {"max": 2,
            "classes": [{"name": "vip", "reserved": "50%",
                "clientSelectors": [{"headers": [{"name": "x-vip", "value": "1"}]}]}]}}]}}});
    let page = json!([{"name": "gone", "match": {"statusCodes": [{"value": 410}]},
        "response": {"statusCode": 404}}]);
    json!({"position": position, "allowOnHeadersStopIteration": true, "policies": [
        policy("limits", limits),
        policy("late", json!({"faultInjection": {"delay": {"fixedDelay": "4s"}, "maxActive": 2}})),
        policy("broken", json!({"faultInjection": {"abort": {"httpStatus": 503}}})),
        policy("pages", json!({"responseOverride": page})),
        policy("bodies", json!({"requestBuffer": {"limit": "1Ki", "maxTotal": "2Ki"}})),
        policy("retries", json!({
            "retry": {"numRetries": 1, "retryOn": {"triggers": ["5xx"]}},
            "retryConstraint": {"budget": {"percent": 20, "interval": "60s"},
                "minRetryRate": {"count": 1, "interval": "1h"}, "reportExhausted": true}})),
    ]})
}

fn with_rule(path: &str, rule: &str) -> Request {
    Request::get(path).header("x-rule", rule)
}

async fn statuses(envoy: &Envoy, request: Request, wanted: &[u16]) -> Result<()> {
    for wanted in wanted {
        let came = envoy.send(request.clone()).await?.status;
        ensure!(came == *wanted, "{request:?}: {came}, not {wanted}");
    }
    Ok(())
}

/// Four requests at once, to a rule that lets one pass each half second.
async fn queue(envoy: &Envoy) -> Result<()> {
    let addr = envoy.addr();
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let request = with_rule("/limits", "queue");
        waiting.spawn(async move { h1::send(addr, request).await });
    }
    while let Some(response) = waiting.join_next().await {
        let status = response??.status;
        ensure!(status == 200, "a queued request is answered {status}");
    }
    Ok(())
}

async fn retries(envoy: &Envoy, upstream: &Upstream) -> Result<Retries> {
    const REQUESTS: usize = 40;
    let mut refused = 0.0;
    for _ in 0..REQUESTS {
        let response = envoy.get("/retries/status/503").await?;
        ensure!(response.status == 503);
        if response.header("x-btp-retry-budget").is_some() {
            refused += 1.0;
        }
    }
    let tries = upstream.requests_under("/retries").len();
    let retries = tries.checked_sub(REQUESTS).context("requests are lost")? as f64;
    ensure!(retries > 0.0 && refused > 0.0, "{retries}, {refused}");
    Ok(Retries {
        requests: REQUESTS as f64,
        retries,
        refused,
    })
}
