//! What `docker compose --profile observe` shows, with a real Prometheus: a load whose
//! numbers are known, and every query of the dashboard must give them. Grafana is not here:
//! that it can draw the dashboard is checked by its structure (`tests/src/dashboard.rs`).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::dashboard::Dashboard;
use btp_tests::prometheus::{CONFIG, Sample};
use btp_tests::setup::labelled;
use btp_tests::{Body, Build, Builder, Envoy, Prometheus, Request, Route, Upstream, repo, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);
const WORKERS: u32 = 2;

/// What `$__rate_interval` is replaced by: all that Prometheus has seen of the load.
const WINDOW: &str = "300s";
const WINDOW_S: f64 = 300.0;
const HOUR_S: f64 = 3600.0;

/// How long requests are held while a scrape looks at them.
const HELD: Duration = Duration::from_secs(6);
const ROUTES: [&str; 6] = ["limits", "late", "broken", "pages", "bodies", "retries"];

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// At a scrape while requests are held.
    Meanwhile,
    /// At the last scrape, when nothing happens any more.
    End,
}

/// How the values of a query are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    /// The value itself.
    Exactly(f64),
    /// A rate over [`WINDOW`] that ends with the last scrape and begins before the first one.
    /// All counters are there from the start, at zero: Prometheus then adds nothing to what
    /// it saw, so that rate × window is the count.
    Counted(f64),
    /// From here to there, both included.
    Between(f64, f64),
}

/// A panel, the letter of its query, and what it gives when. Labels of a series are written
/// `policy`, `policy rule` and so on, in the order of [`SHOWN`].
type Row = (&'static str, &'static str, At, Vec<(&'static str, Is)>);

/// The labels that tell series of a panel apart, other than the Envoy's and the namespace's,
/// which all have in common.
const SHOWN: [&str; 6] = [
    "btp_policy",
    "btp_rule",
    "btp_class",
    "btp_route",
    "btp_cluster",
    "btp_vm",
];

/// What was counted outside of the filter.
#[derive(Clone, Copy, Debug)]
struct Retries {
    requests: f64,
    retries: f64,
    refused: f64,
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
        policy("late", json!({"faultInjection": {"delay": {"fixedDelay": "6s"}, "maxActive": 2}})),
        policy("broken", json!({"faultInjection": {"abort": {"httpStatus": 503}}})),
        policy("pages", json!({"responseOverride": page})),
        policy("bodies", json!({"requestBuffer": {"limit": "1Ki", "maxTotal": "2Ki"}})),
        policy("retries", json!({
            "retry": {"numRetries": 1, "retryOn": {"triggers": ["5xx"]}},
            "retryConstraint": {"budget": {"percent": 20, "interval": "60s"},
                "minRetryRate": {"count": 1, "interval": "1h"}, "reportExhausted": true}})),
    ]})
}

async fn start(upstream: &Upstream) -> Result<Envoy> {
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

/// Requests that are held, and when Prometheus has seen them.
async fn hold(envoy: &Envoy, prometheus: &Prometheus) -> Result<f64> {
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
        held.spawn(async move { btp_tests::client::h1::send(addr, request).await });
    }
    // `scrape` is the first one at which all of them were seen.
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
    while let Some(response) = held.join_next().await {
        let status = response??.status;
        ensure!(status == 200, "a held request is answered {status}");
    }
    Ok(scrape)
}

/// Four requests at once, to a rule that lets one pass each half second.
async fn queue(envoy: &Envoy) -> Result<()> {
    let addr = envoy.addr();
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let request = with_rule("/limits", "queue");
        waiting.spawn(async move { btp_tests::client::h1::send(addr, request).await });
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

async fn load(envoy: &Envoy, upstream: &Upstream) -> Result<Retries> {
    statuses(envoy, with_rule("/limits", "few"), &[200, 200, 429, 429, 429]).await?;
    statuses(envoy, with_rule("/limits", "shadow"), &[200; 5]).await?;
    statuses(envoy, with_rule("/limits", "keyed"), &[400; 2]).await?;
    statuses(envoy, Request::get("/broken"), &[503; 4]).await?;
    statuses(envoy, Request::get("/pages/status/410"), &[404; 2]).await?;
    statuses(envoy, Request::post("/bodies", [0; 2000]), &[413]).await?;
    statuses(envoy, Request::post("/bodies", [0; 500]), &[200]).await?;
    queue(envoy).await?;
    retries(envoy, upstream).await
}

fn name_of(sample: &Sample) -> String {
    let shown = SHOWN.iter().filter_map(|label| sample.labels.get(*label));
    let shown: Vec<&str> = shown.map(String::as_str).collect();
    shown.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn explore() -> Result<()> {
    let upstream = Upstream::start().await?;
    let envoy = start(&upstream).await?;
    let prometheus = Prometheus::start(&envoy).await?;
    prometheus.scrapes_again(1).await?;
    let meanwhile = hold(&envoy, &prometheus).await;
    if meanwhile.is_err() {
        println!("{}", envoy.admin_get("/stats/prometheus").await?.lines().filter(|it| it.starts_with("btp")).collect::<Vec<_>>().join("\n"));
    }
    let meanwhile = meanwhile?;
    prometheus.scrapes_again(2).await?;
    let retries = load(&envoy, &upstream).await?;
    let end = prometheus.scrapes_again(3).await?;
    println!("{retries:?}");
    let board = Dashboard::load()?;
    for query in board.queries() {
        let expr = board.substituted(query.expression, WINDOW, &[]);
        for (when, at) in [("meanwhile", meanwhile), ("end", end)] {
            for s in prometheus.query(&expr, Some(at)).await? {
                println!("{} {} {when}: {:?} {} (x{})", query.panel, query.letter, name_of(&s), s.value, s.value * WINDOW_S);
            }
        }
    }
    let _ = (HOUR_S, CONFIG, Path::new(""), Command::new(""), BTreeSet::<u8>::new(), Build::under_test()?, repo::promtool()?);
    let _: Option<Row> = None;
    ensure!(1 == 2);
    Ok(())
}
