//! `healthCheck`, `circuitBreaker`, `retry` and `timeout` on the real Envoy.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use btp_tests::native::{addresses, backend, cluster_of, governed, upstreams};
use btp_tests::{Body, Builder, Envoy, Reply, Route, Upstream, wait};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
/// For what takes 300ms: Envoy's timers may be a millisecond early.
const AT_LEAST: Duration = Duration::from_millis(290);

fn many(reply: &Reply) -> impl Iterator<Item = Reply> {
    std::iter::repeat_n(reply.clone(), 100_000)
}

/// An address at which nobody listens.
fn nobody() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn wait_for_stat(envoy: &Envoy, name: &str, wanted: impl Fn(u64) -> bool) -> Result<()> {
    wait::until_async(name, SOON, async || {
        let value = envoy.stat(name).await?;
        Ok(value.filter(|value| wanted(*value)).map(drop))
    })
    .await
}

const HEALTHY: &str = "cluster.backend.membership_healthy";

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_is_ejected_and_comes_back() -> Result<()> {
    let upstreams = upstreams(2).await?;
    upstreams[0].script("/", many(&Reply::status(500)));
    let spec = json!({
        "loadBalancer": {"type": "RoundRobin"},
        "healthCheck": {"passive": {"consecutive5XxErrors": 3, "interval": "100ms",
            "baseEjectionTime": "5s", "maxEjectionPercent": 50}},
    });
    let envoy = governed(&upstreams, &spec).await?;
    let ejections = "cluster.backend.outlier_detection.ejections_active";
    let mut failed = 0;
    while failed < 3 {
        failed += usize::from(envoy.get("/").await?.status == 500);
        ensure!(upstreams[1].requests().len() < 10, "too few fail");
    }
    wait_for_stat(&envoy, ejections, |active| active == 1).await?;
    let before = upstreams[0].requests().len();
    for _ in 0..10 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    ensure!(
        upstreams[0].requests().len() == before,
        "it was asked after that"
    );
    upstreams[0].script("/", []);
    wait_for_stat(&envoy, ejections, |active| active == 0).await?;
    for _ in 0..4 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    ensure!(
        upstreams[0].requests().len() > before,
        "it did not come back"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_percent_of_two_endpoints_is_none() -> Result<()> {
    for (always, ejected) in [(false, 0), (true, 1)] {
        let upstreams = upstreams(2).await?;
        upstreams[0].script("/", many(&Reply::status(500)));
        let spec = json!({
            "loadBalancer": {"type": "RoundRobin"},
            "healthCheck": {"passive": {"consecutive5XxErrors": 1,
                "alwaysEjectOneEndpoint": always}},
        });
        let envoy = governed(&upstreams, &spec).await?;
        for _ in 0..10 {
            envoy.get("/").await?;
        }
        // Both are detected; whether one is ejected is asked after that.
        let detected = "cluster.backend.outlier_detection.ejections_detected_consecutive_5xx";
        wait_for_stat(&envoy, detected, |detected| detected > 0).await?;
        let active = "cluster.backend.outlier_detection.ejections_active";
        wait_for_stat(&envoy, active, |active| active == ejected).await?;
        ensure!(envoy.stat(active).await? == Some(ejected), "{always}");
    }
    Ok(())
}

fn active(check: Value) -> Value {
    let mut active = json!({"interval": "100ms", "timeout": "5s",
        "healthyThreshold": 1, "unhealthyThreshold": 1});
    for (name, value) in check.as_object().into_iter().flatten() {
        active[name] = value.clone();
    }
    json!({ "healthCheck": { "active": active, "panicThreshold": 0 } })
}

#[tokio::test(flavor = "multi_thread")]
async fn http_checks_ask_as_told_and_take_an_endpoint_out() -> Result<()> {
    let upstreams = upstreams(2).await?;
    upstreams[0].script("/up", many(&Reply::status(503)));
    let spec = active(json!({"type": "HTTP", "http": {
        "path": "/up/status/204", "method": "put", "hostname": "up.example",
        "expectedStatuses": [200, 204], "requestBody": {"type": "Text", "text": "ping"}}}));
    let envoy = governed(&upstreams, &spec).await?;
    wait_for_stat(&envoy, HEALTHY, |healthy| healthy == 1).await?;
    for _ in 0..6 {
        ensure!(envoy.get("/served").await?.status == 200);
    }
    ensure!(upstreams[0].requests_under("/served").is_empty());
    let check = upstreams[1].requests_under("/up").remove(0);
    ensure!(check.method == "PUT" && check.text() == "ping", "{check:?}");
    ensure!(
        check.header("host").as_deref() == Some("up.example"),
        "{check:?}"
    );
    // It gets well, is asked again long before a minute is over, and serves.
    upstreams[0].script("/up", []);
    wait_for_stat(&envoy, HEALTHY, |healthy| healthy == 2).await?;
    for _ in 0..20 {
        ensure!(envoy.get("/served").await?.status == 200);
    }
    ensure!(!upstreams[0].requests_under("/served").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_checks_expect_a_body() -> Result<()> {
    let upstreams = upstreams(2).await?;
    upstreams[0].script("/up", many(&Reply::status(200).text("I am down")));
    let spec = active(json!({"type": "HTTP", "http": {"path": "/up",
        "expectedResponse": {"type": "Text", "text": "upstream says 200"}}}));
    let envoy = governed(&upstreams, &spec).await?;
    wait_for_stat(&envoy, HEALTHY, |healthy| healthy == 1).await?;
    for _ in 0..6 {
        ensure!(envoy.get("/served").await?.status == 200);
    }
    ensure!(upstreams[0].requests_under("/served").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_checks_take_out_who_does_not_listen() -> Result<()> {
    let upstream = Upstream::start().await?;
    let cluster = cluster_of("backend", &[nobody()?, upstream.addr()]);
    let mut bootstrap = Builder::new()
        .raw_cluster(cluster)
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.govern("backend", &active(json!({"type": "TCP", "tcp": {}})))?;
    let envoy = Envoy::start(&bootstrap).await?;
    wait_for_stat(&envoy, HEALTHY, |healthy| healthy == 1).await?;
    for _ in 0..6 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_port_can_be_asked() -> Result<()> {
    let upstreams = upstreams(2).await?;
    let mut spec = active(json!({"type": "HTTP", "http": {"path": "/up"}}));
    spec["healthCheck"]["active"]["overrides"] = json!({"port": upstreams[1].addr().port()});
    let envoy = governed(&upstreams[..1], &spec).await?;
    upstreams[1].wait_for_requests(2, SOON).await?;
    ensure!(envoy.get("/served").await?.status == 200);
    ensure!(upstreams[0].requests_under("/up").is_empty());
    Ok(())
}

/// `HealthCheckResponse`: SERVING is 1, NOT_SERVING 2.
fn health(status: u8) -> Reply {
    let message = vec![0, 0, 0, 0, 2, 8, status];
    let body = Body::chunked([message]).trailer("grpc-status", "0");
    let reply = Reply::status(200).header("content-type", "application/grpc");
    reply.body(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_checks_ask_for_the_service() -> Result<()> {
    let upstreams = upstreams(2).await?;
    for (upstream, status) in upstreams.iter().zip([2, 1]) {
        upstream.script("/grpc.health.v1.Health/Check", many(&health(status)));
    }
    let spec = active(json!({"type": "GRPC", "grpc": {"service": "shop"}}));
    ensure!(
        governed(&upstreams, &spec).await.is_err(),
        "HTTP/1 cannot be asked by gRPC"
    );
    let mut bootstrap = backend(&upstreams)?;
    bootstrap.edit(|config| {
        // The older way to say that a cluster speaks HTTP/2.
        config["static_resources"]["clusters"][0]["http2_protocol_options"] = json!({});
    });
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    wait_for_stat(&envoy, HEALTHY, |healthy| healthy == 1).await?;
    let check = upstreams[1].wait_for_requests(1, SOON).await?.remove(0);
    ensure!(check.text().ends_with("shop"), "{check:?}");
    for _ in 0..6 {
        ensure!(envoy.get("/served").await?.status == 200);
    }
    ensure!(upstreams[0].requests_under("/served").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_panic_threshold_health_counts_for_nothing() -> Result<()> {
    for (threshold, status) in [(0, 503), (50, 200)] {
        let upstreams = upstreams(1).await?;
        upstreams[0].script("/up", many(&Reply::status(500)));
        let mut spec = active(json!({"type": "HTTP", "http": {"path": "/up"}}));
        spec["healthCheck"]["panicThreshold"] = threshold.into();
        let envoy = governed(&upstreams, &spec).await?;
        wait_for_stat(&envoy, HEALTHY, |healthy| healthy == 0).await?;
        let response = envoy.get("/served").await?;
        ensure!(
            response.status == status,
            "{threshold}: {}",
            response.text()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_answers_for_its_backend_alone() -> Result<()> {
    let upstreams = upstreams(2).await?;
    let mut bootstrap = Builder::new()
        .cluster("slow", upstreams[0].addr())
        .cluster("other", upstreams[1].addr())
        .route(Route::cluster("/slow", "slow"))
        .route(Route::cluster("/", "other"))
        .build()?;
    for name in ["slow", "other"] {
        let spec = json!({"circuitBreaker": {"maxParallelRequests": 1}});
        bootstrap.govern(name, &spec)?;
    }
    let envoy = Envoy::start(&bootstrap).await?;
    upstreams[0].script("/slow", [Reply::hang()]);
    let hanging = btp_tests::client::h1::get(envoy.addr(), "/slow");
    let rest = async {
        upstreams[0].wait_for_requests(1, SOON).await?;
        let refused = envoy.get("/slow").await?;
        ensure!(refused.status == 503, "{}", refused.status);
        ensure!(refused.header("x-envoy-overloaded").as_deref() == Some("true"));
        ensure!(envoy.get("/other").await?.status == 200);
        Ok(())
    };
    tokio::select! {
        done = rest => done,
        response = hanging => anyhow::bail!("the slow request ended: {response:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_per_endpoint_are_bounded() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let spec = json!({"circuitBreaker": {"perEndpoint": {"maxConnections": 1}}});
    let envoy = governed(&upstreams, &spec).await?;
    let slow = Reply::status(200).after(Duration::from_millis(500));
    upstreams[0].script("/", many(&slow));
    let (one, other) = tokio::join!(envoy.get("/"), envoy.get("/"));
    ensure!(one?.status == 200 && other?.status == 200);
    let requests = upstreams[0].requests();
    ensure!(
        requests.iter().all(|it| it.connection == 0),
        "more than one"
    );
    // The second waited for the first one's connection.
    let pause = requests[1].headers_at - requests[0].headers_at;
    ensure!(pause >= Duration::from_millis(500), "{pause:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_after_its_requests() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let spec = json!({"circuitBreaker": {"maxRequestsPerConnection": 2}});
    let envoy = governed(&upstreams, &spec).await?;
    for _ in 0..6 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    let connections: Vec<u64> = upstreams[0]
        .requests()
        .iter()
        .map(|it| it.connection)
        .collect();
    ensure!(connections == [0, 0, 1, 1, 2, 2], "{connections:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_wait_as_long_as_told() -> Result<()> {
    let upstreams = upstreams(1).await?;
    upstreams[0].script("/", many(&Reply::status(503)));
    let spec = json!({"retry": {"numRetries": 5,
        "perRetry": {"backOff": {"baseInterval": "1s", "maxInterval": "1s"}}}});
    let envoy = governed(&upstreams, &spec).await?;
    let client = |path: &'static str| {
        let (envoy, upstream) = (&envoy, &upstreams[0]);
        async move {
            ensure!(envoy.get(path).await?.status == 503);
            let seen = upstream.requests_under(path);
            ensure!(seen.len() == 6, "{} tries", seen.len());
            Ok(seen[5].headers_at - seen[0].headers_at)
        }
    };
    let (a, b, c, d) = tokio::join!(client("/a"), client("/b"), client("/c"), client("/d"));
    // Each pause is drawn from 0 to 1s. With Envoy's own, five of them are
    // 625ms at most; with these, all clients are below once in 10^12 runs.
    let longest = a?.max(b?).max(c?).max(d?);
    ensure!(longest > Duration::from_millis(700), "{longest:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_asks_another_endpoint() -> Result<()> {
    let upstream = Upstream::start().await?;
    let endpoints = [nobody()?, upstream.addr()];
    let mut bootstrap = Builder::new()
        .raw_cluster(cluster_of("backend", &endpoints))
        .route(Route::cluster("/", "backend"))
        .build()?;
    let spec = json!({"retry": {"numRetries": 1}, "loadBalancer": {"type": "Random"}});
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    // Five draws of the other endpoint fail once in 32 times; no try, in 40
    // requests, half of which begin with the wrong one, almost surely one.
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(envoy.get("/").await?.status != 200);
    }
    ensure!(failed <= 6, "{failed} of 40 failed");
    ensure!(upstream.requests().len() == 40 - failed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_takes_too_long_is_given_up() -> Result<()> {
    let upstreams = upstreams(1).await?;
    upstreams[0].script("/", [Reply::hang()]);
    let spec = json!({"retry": {"perRetry": {"timeout": "300ms"},
        "retryOn": {"triggers": ["gateway-error"]}}});
    let envoy = governed(&upstreams, &spec).await?;
    let response = envoy.get("/").await?;
    ensure!(response.status == 200, "{}", response.status);
    ensure!(response.elapsed >= AT_LEAST);
    ensure!(upstreams[0].requests().len() == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn status_codes_work_beside_other_triggers() -> Result<()> {
    let upstreams = upstreams(1).await?;
    upstreams[0].script("/", [Reply::status(429)]);
    let spec = json!({"retry": {"retryOn": {"triggers": ["reset"], "httpStatusCodes": [429]}}});
    let envoy = governed(&upstreams, &spec).await?;
    ensure!(envoy.get("/").await?.status == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_moves_on_to_the_next_priority() -> Result<()> {
    let upstreams = upstreams(2).await?;
    upstreams[0].script("/", many(&Reply::status(503)));
    let mut cluster = cluster_of("backend", &addresses(&upstreams));
    let endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"].take();
    cluster["load_assignment"]["endpoints"] = json!([
        {"priority": 0, "lb_endpoints": [endpoints[0]]},
        {"priority": 1, "lb_endpoints": [endpoints[1]]},
    ]);
    let mut bootstrap = Builder::new()
        .raw_cluster(cluster)
        .route(Route::cluster("/", "backend"))
        .build()?;
    let spec = json!({"retry": {"numAttemptsPerPriority": 1, "numRetries": 1}});
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    for _ in 0..5 {
        ensure!(envoy.get("/").await?.status == 200);
    }
    ensure!(upstreams[0].requests().len() == 5 && upstreams[1].requests().len() == 5);
    Ok(())
}

/// So many requests at once, each of which must be tried again once.
async fn retried_together(spec: &Value) -> Result<usize> {
    let upstreams = upstreams(1).await?;
    const CLIENTS: usize = 12;
    for client in 0..CLIENTS {
        let path = format!("/client-{client}/");
        upstreams[0].script(
            &path,
            [
                Reply::status(503),
                Reply::status(200).after(Duration::from_secs(2)),
            ],
        );
    }
    let envoy = governed(&upstreams, spec).await?;
    let requests = (0..CLIENTS).map(|client| {
        let address = envoy.addr();
        tokio::spawn(async move {
            btp_tests::client::h1::get(address, &format!("/client-{client}/")).await
        })
    });
    let mut succeeded = 0;
    for request in requests.collect::<Vec<_>>() {
        succeeded += usize::from(request.await??.status == 200);
    }
    Ok(succeeded)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_three_requests_are_retried_at_once() -> Result<()> {
    let lifted = retried_together(&json!({"retry": {}})).await?;
    ensure!(lifted == 12, "{lifted} of 12");
    let bounded = json!({"retry": {}, "circuitBreaker": {"maxParallelRetries": 1}});
    let bounded = retried_together(&bounded).await?;
    ensure!(bounded < 12, "all of them, at one retry at a time");
    let budget = json!({"retry": {}, "circuitBreaker": {"retryBudget": {
        "percent": {"numerator": 0}, "minRetryConcurrency": 1}}});
    let budget = retried_together(&budget).await?;
    ensure!(budget < 12, "all of them, at one retry at a time");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_streams_have_their_time() -> Result<()> {
    for (timeout, says) in [
        (
            json!({"requestTimeout": "300ms"}),
            "upstream request timeout",
        ),
        (json!({"streamIdleTimeout": "300ms"}), "stream timeout"),
        (
            json!({"maxStreamDuration": "300ms"}),
            "downstream duration timeout",
        ),
    ] {
        let upstreams = upstreams(1).await?;
        upstreams[0].script("/", [Reply::hang()]);
        let envoy = governed(&upstreams, &json!({"timeout": {"http": timeout}})).await?;
        let response = envoy.get("/").await?;
        ensure!(
            response.status == 504,
            "{timeout}: {} {}",
            response.status,
            response.text()
        );
        ensure!(response.text() == says, "{timeout}: {}", response.text());
        ensure!(response.elapsed >= AT_LEAST);
        ensure!(envoy.get("/").await?.status == 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_old_connections_are_closed() -> Result<()> {
    for name in ["connectionIdleTimeout", "maxConnectionDuration"] {
        let upstreams = upstreams(1).await?;
        let spec = json!({"timeout": {"http": {name: "300ms"}}});
        let envoy = governed(&upstreams, &spec).await?;
        ensure!(envoy.get("/").await?.status == 200);
        let active = "cluster.backend.upstream_cx_active";
        wait_for_stat(&envoy, active, |active| active == 0).await?;
        ensure!(envoy.get("/").await?.status == 200);
        let connections: Vec<u64> = upstreams[0]
            .requests()
            .iter()
            .map(|it| it.connection)
            .collect();
        ensure!(connections == [0, 1], "{name}: {connections:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_has_its_time() -> Result<()> {
    // A full backlog: the system takes no further connection.
    let full = tokio::net::TcpSocket::new_v4()?;
    full.bind("127.0.0.1:0".parse()?)?;
    let full = full.listen(1)?;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(tokio::spawn(tokio::net::TcpStream::connect(
            full.local_addr()?,
        )));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut bootstrap = Builder::new()
        .cluster("backend", full.local_addr()?)
        .route(Route::cluster("/", "backend"))
        .build()?;
    let spec = json!({"timeout": {"tcp": {"connectTimeout": "300ms"}}});
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    let started = Instant::now();
    let response = envoy.get("/").await?;
    ensure!(response.status == 503, "{}", response.status);
    ensure!(started.elapsed() >= AT_LEAST);
    ensure!(
        envoy
            .stat("cluster.backend.upstream_cx_connect_timeout")
            .await?
            == Some(1)
    );
    held.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}
