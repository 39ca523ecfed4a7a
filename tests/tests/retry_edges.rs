//! `spec.retryConstraint` in gate mode where retries do not follow a plain
//! response: resets, refusals, timeouts, hedges, clients that go, mirrors.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{cluster, upstream_filtered};
use btp_tests::client::{grpc, h1, raw};
use btp_tests::{Builder, EcdsFile, Envoy, Reply, Request, Route, Upstream, load, wait};
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const PREFIX: &str = "wasmcustom.btp.default.p.retry_budget_";

/// `percent` of the requests, and one retry an hour on top.
fn spec(percent: u32) -> Value {
    json!({
        "retry": {"numRetries": 2, "retryOn": {
            "triggers": ["5xx", "reset", "connect-failure", "unavailable"]}},
        "retryConstraint": {"budget": {"percent": percent, "interval": "2s"},
                            "minRetryRate": {"count": 1, "interval": "1h"},
                            "reportExhausted": true},
    })
}

fn plugin(spec: &Value, position: &str) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}], "position": position})
}

fn applied(spec: &Value) -> Value {
    let mut plugin = plugin(spec, "Downstream");
    plugin["nativeFields"] = "Applied".into();
    plugin
}

/// A cluster with the gate, and room for many retries at once.
fn gated(mut cluster: Value, spec: &Value) -> Result<Value> {
    cluster["circuit_breakers"] = json!({"thresholds": [{"max_retries": 100_000,
        "max_requests": 100_000, "max_connections": 100_000}]});
    upstream_filtered(cluster, &plugin(spec, "Upstream"))
}

async fn gate(spec: &Value, route: Route) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let envoy = Builder::new()
        .plugin(&plugin(spec, "Downstream"))
        .raw_cluster(gated(cluster("backend", upstream.addr()), spec)?)
        .route(route);
    Ok((Envoy::start(&envoy.build()?).await?, upstream))
}

async fn stat(envoy: &Envoy, name: &str) -> Result<u64> {
    let value = envoy.stat(&format!("{PREFIX}{name}")).await?;
    Ok(value.unwrap_or(0))
}

async fn retries(envoy: &Envoy) -> Result<u64> {
    Ok(stat(envoy, "retries").await? + stat(envoy, "min_retries").await?)
}

async fn nothing_is_held(envoy: &Envoy) -> Result<()> {
    wait::until_async("all credit to come back", 10 * SECOND, async || {
        let held = stat(envoy, "debug_held").await? + stat(envoy, "debug_min_held").await?;
        Ok((held == 0).then_some(()))
    })
    .await
}

/// Shows the gate to the worker and uses up the floor's one retry.
async fn exhaust(envoy: &Envoy, upstream: &Upstream) -> Result<()> {
    for _ in 0..3 {
        envoy.get("/status/503").await?;
    }
    ensure!(retries(envoy).await? == 1);
    upstream.clear();
    Ok(())
}

fn status(response: &btp_tests::Response) -> String {
    response.status.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_are_bounded() -> Result<()> {
    let (envoy, upstream) = gate(&spec(20), Route::cluster("/", "backend")).await?;
    upstream.script("/reset", std::iter::repeat_n(Reply::reset(), 200_000));
    let tally = load::run(envoy.addr(), "/reset", 8, 3 * SECOND, status).await?;
    ensure!(tally.of("503") == tally.requests, "{tally:?}");
    let seen = upstream.requests().len() as u64;
    ensure!(
        seen - tally.requests <= tally.requests / 5 + 1,
        "{seen}: {tally:?}"
    );
    ensure!(
        seen > tally.requests * 11 / 10,
        "starved: {seen}: {tally:?}"
    );
    nothing_is_held(&envoy).await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_are_bounded() -> Result<()> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let spec = spec(20);
    let builder = Builder::new()
        .plugin(&plugin(&spec, "Downstream"))
        .raw_cluster(gated(cluster("backend", socket.local_addr()?), &spec)?)
        .route(Route::cluster("/", "backend"));
    let envoy = Envoy::start(&builder.build()?).await?;
    let tally = load::run(envoy.addr(), "/", 8, 3 * SECOND, status).await?;
    ensure!(tally.of("503") == tally.requests, "{tally:?}");
    let retries = retries(&envoy).await?;
    ensure!(stat(&envoy, "requests").await? == tally.requests);
    ensure!(retries <= tally.requests / 5 + 1, "{retries}: {tally:?}");
    ensure!(
        retries > tally.requests / 10,
        "starved: {retries}: {tally:?}"
    );
    nothing_is_held(&envoy).await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_that_time_out_are_bounded() -> Result<()> {
    let mut spec = spec(0);
    spec["retry"]["perRetry"] = json!({"timeout": "200ms"});
    let (envoy, upstream) = gate(&spec, Route::cluster("/", "backend")).await?;
    exhaust(&envoy, &upstream).await?;
    upstream.script("/hang", [Reply::hang(), Reply::hang()]);
    let response = envoy.get("/hang").await?;
    ensure!(
        response.status == 504 || response.status == 503,
        "{response:?}"
    );
    ensure!(upstream.requests_under("/hang").len() == 1);
    nothing_is_held(&envoy).await?;
    envoy.assert_vm_alive().await
}

/// A retry in mid-request has no response to give instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_retry_after_a_reset_is_a_503_of_ours() -> Result<()> {
    let (envoy, upstream) = gate(&spec(0), Route::cluster("/", "backend")).await?;
    // The gate is seen, and the floor's retry is still there.
    envoy.get("/fine").await?;
    upstream.script("/reset", [Reply::reset(), Reply::reset(), Reply::reset()]);
    let response = envoy.get("/reset").await?;
    ensure!(response.status == 503 && response.text() == "retry budget exhausted");
    ensure!(response.header("x-btp-retry-budget").as_deref() == Some("exhausted"));
    ensure!(upstream.requests_under("/reset").len() == 2);
    ensure!(stat(&envoy, "refused").await? == 1);
    envoy.assert_vm_alive().await
}

/// With an empty budget the live try is left to end.
#[tokio::test(flavor = "multi_thread")]
async fn a_hedge_without_credit_waits() -> Result<()> {
    let hedged = |route: &mut Value| {
        route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 2,
            "per_try_timeout": "0.1s"});
        route["route"]["hedge_policy"] = json!({"hedge_on_per_try_timeout": true});
    };
    let spec = spec(0);
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(&applied(&spec))
        .raw_cluster(gated(cluster("backend", upstream.addr()), &spec)?)
        .route(Route::cluster("/", "backend").edit(hedged));
    let envoy = Envoy::start(&builder.build()?).await?;
    envoy.get("/fine").await?;
    for path in ["/paid", "/unpaid"] {
        let slow = || Reply::status(200).text("slow").after(700 * MS);
        upstream.script(path, [slow(), slow(), slow()]);
        let response = envoy.get(path).await?;
        ensure!(
            response.status == 200 && response.text() == "slow",
            "{path}: {response:?}"
        );
    }
    ensure!(upstream.requests_under("/paid").len() == 2);
    ensure!(upstream.requests_under("/unpaid").len() == 1);
    nothing_is_held(&envoy).await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_in_the_back_off_takes_no_credit_along() -> Result<()> {
    let patient = |route: &mut Value| {
        route["route"]["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 2,
            "retry_back_off": {"base_interval": "20s", "max_interval": "20s"}});
    };
    let spec = spec(0);
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(&applied(&spec))
        .raw_cluster(gated(cluster("backend", upstream.addr()), &spec)?)
        .route(Route::cluster("/", "backend").edit(patient));
    let envoy = Envoy::start(&builder.build()?).await?;
    envoy.get("/fine").await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send("GET /status/503 HTTP/1.1\r\nhost: h\r\n\r\n")
        .await?;
    wait::until_async("credit to be held", 10 * SECOND, async || {
        Ok((stat(&envoy, "debug_min_held").await? == 1).then_some(()))
    })
    .await?;
    drop(client);
    nothing_is_held(&envoy).await?;
    ensure!(retries(&envoy).await? == 0);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_circuit_breaker_drops_comes_back() -> Result<()> {
    let spec = spec(100);
    let upstream = Upstream::start().await?;
    let mut backend = cluster("backend", upstream.addr());
    backend["circuit_breakers"] = json!({"thresholds": [{"max_retries": 0}]});
    let builder = Builder::new()
        .plugin(&plugin(&spec, "Downstream"))
        .raw_cluster(upstream_filtered(backend, &plugin(&spec, "Upstream"))?)
        .route(Route::cluster("/", "backend"));
    let envoy = Envoy::start(&builder.build()?).await?;
    for _ in 0..20 {
        let response = envoy.get("/status/503").await?;
        ensure!(response.text() == "upstream says 503\n");
        ensure!(response.header("x-btp-retry-budget").is_none());
    }
    ensure!(retries(&envoy).await? == 0 && upstream.requests().len() == 20);
    nothing_is_held(&envoy).await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrored_requests_do_not_pay() -> Result<()> {
    let mirrored = |route: &mut Value| {
        route["route"]["request_mirror_policies"] = json!([{"cluster": "mirror"}]);
    };
    let spec = spec(20);
    let (upstream, shadow) = (Upstream::start().await?, Upstream::start().await?);
    let builder = Builder::new()
        .plugin(&plugin(&spec, "Downstream"))
        .raw_cluster(gated(cluster("backend", upstream.addr()), &spec)?)
        .raw_cluster(gated(cluster("mirror", shadow.addr()), &spec)?)
        .route(Route::cluster("/", "backend").edit(mirrored));
    let envoy = Envoy::start(&builder.build()?).await?;
    for _ in 0..10 {
        ensure!(envoy.get("/fine").await?.status == 200);
    }
    shadow.wait_for_requests(10, 10 * SECOND).await?;
    ensure!(stat(&envoy, "requests").await? == 10);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_failures_are_bounded_and_stay_the_origins() -> Result<()> {
    let spec = spec(0);
    let upstream = Upstream::start().await?;
    let mut backend = cluster("backend", upstream.addr());
    backend["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "explicit_http_config": {"http2_protocol_options": {}}}});
    let builder = Builder::new()
        .plugin(&plugin(&spec, "Downstream"))
        .raw_cluster(gated(backend, &spec)?)
        .route(Route::cluster("/", "backend"));
    let envoy = Envoy::start(&builder.build()?).await?;
    for _ in 0..5 {
        let response = grpc::call(envoy.addr(), "/x/grpc/14", b"message").await?;
        ensure!(response.grpc_status == Some(14), "{response:?}");
    }
    let tries = upstream.requests().len();
    ensure!(tries == 6, "{tries} tries");
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_update_forgets_nothing() -> Result<()> {
    let spec = spec(20);
    let file = EcdsFile::new(&plugin(&spec, "Downstream"), false)?;
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin_from(&file)
        .raw_cluster(gated(cluster("backend", upstream.addr()), &spec)?)
        .route(Route::cluster("/", "backend"));
    let envoy = Envoy::start(&builder.build()?).await?;
    let addr = envoy.addr();
    let storm =
        tokio::spawn(async move { load::run(addr, "/status/503", 8, 4 * SECOND, status).await });
    let mut other = spec.clone();
    for retries in [3, 2, 4, 1] {
        tokio::time::sleep(700 * MS).await;
        other["retry"]["numRetries"] = retries.into();
        file.replace(&plugin(&other, "Downstream"))?;
    }
    let tally = storm.await??;
    let seen = upstream.requests().len() as u64;
    ensure!(
        seen - tally.requests <= tally.requests / 5 + 2,
        "{seen}: {tally:?}"
    );
    ensure!(
        seen > tally.requests * 11 / 10,
        "starved: {seen}: {tally:?}"
    );
    nothing_is_held(&envoy).await?;
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_that_stand_still_are_refused() -> Result<()> {
    let mut bootstrap = Builder::new()
        .plugin(&plugin(&spec(20), "Downstream"))
        .route(Route::direct("/", 200, "ok"))
        .build()?;
    bootstrap.edit(|config| {
        config["stats_config"] = json!({"stats_matcher": {"exclusion_list": {
            "patterns": [{"prefix": "wasmcustom."}]}}});
    });
    let log = Envoy::fails_to_start(&bootstrap).await?;
    let line = log
        .lines()
        .find(|line| line.contains("stats_matcher"))
        .context("no word of stats_matcher")?;
    ensure!(line.contains("wasmcustom.btp.default.p.*"), "{line}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_are_reset_give_no_credit() -> Result<()> {
    let (envoy, upstream) = gate(&spec(0), Route::cluster("/", "backend")).await?;
    exhaust(&envoy, &upstream).await?;
    let reset = envoy.admin_post("/reset_counters").await?;
    ensure!(reset.contains("OK"), "{reset}");
    let before = upstream.requests().len();
    for _ in 0..5 {
        envoy.get("/status/502").await?;
    }
    ensure!(upstream.requests().len() == before + 5);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_shows_in_header_log_and_attempt_count() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("access.log");
    let spec = spec(0);
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .plugin(&plugin(&spec, "Downstream"))
        .access_log(
            &log,
            "%REQ(:PATH)% %FILTER_STATE(wasm.btp_retry_budget:PLAIN)%",
        )
        .raw_cluster(gated(cluster("backend", upstream.addr()), &spec)?)
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.edit_http("main", |http| {
        let host = &mut http["route_config"]["virtual_hosts"][0];
        host["include_attempt_count_in_response"] = true.into();
        host["include_request_attempt_count"] = true.into();
    })?;
    let envoy = Envoy::start(&bootstrap).await?;
    exhaust(&envoy, &upstream).await?;
    let response = h1::send(envoy.addr(), Request::get("/status/502?last")).await?;
    ensure!(response.text() == "upstream says 502\n");
    ensure!(response.header("x-btp-retry-budget").as_deref() == Some("exhausted"));
    ensure!(response.header("x-envoy-attempt-count").as_deref() == Some("1"));
    ensure!(response.header("x-envoy-ratelimited").is_none());
    wait::until("the access log", 10 * SECOND, || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("/status/502?last exhausted").then_some(())
    })
    .await?;
    envoy.assert_vm_alive().await
}
