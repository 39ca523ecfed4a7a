//! `circuitBreaker`, `retry` and `timeout` on the real Envoy.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::native::{
    SOON, addresses, cluster_of, governed, many, nobody, upstreams, wait_for_stat,
};
use btp_tests::{Builder, Envoy, Reply, Route, Upstream};
use serde_json::{Value, json};

/// For what takes 300ms: Envoy's timers may be a millisecond early.
const AT_LEAST: Duration = Duration::from_millis(290);

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
    let hanging = h1::get(envoy.addr(), "/slow");
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

/// So many requests at once, each of which must be retried once.
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
        tokio::spawn(async move { h1::get(address, &format!("/client-{client}/")).await })
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
    // A budget is a share of the requests in flight, and one that waits for its
    // retry is none: so even all of them let fewer than twelve retry.
    for (percent, expected) in [
        (json!({"numerator": 0}), 1..=4),
        (json!({"numerator": 3, "denominator": 300}), 1..=4),
        (json!({"numerator": 3, "denominator": 3}), 5..=12),
    ] {
        let budget = json!({"percent": percent, "minRetryConcurrency": 1});
        let spec = json!({"retry": {}, "circuitBreaker": {"retryBudget": budget}});
        let found = retried_together(&spec).await?;
        ensure!(expected.contains(&found), "{percent}: {found} of 12");
    }
    let least = json!({"percent": {"numerator": 0}, "minRetryConcurrency": 12});
    let spec = json!({"retry": {}, "circuitBreaker": {"retryBudget": least}});
    let found = retried_together(&spec).await?;
    ensure!(found == 12, "{found} of 12");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_streams_have_their_time() -> Result<()> {
    for (timeout, says) in [
        (
            json!({"requestTimeout": "300ms"}),
            "upstream request timeout",
        ),
        (
            json!({"requestTimeout": "300ms", "maxStreamDuration": "20s"}),
            "upstream request timeout",
        ),
        (
            json!({"requestTimeout": "20s", "maxStreamDuration": "300ms"}),
            "upstream max stream duration reached",
        ),
        (json!({"streamIdleTimeout": "300ms"}), "stream timeout"),
        (
            json!({"maxStreamDuration": "300ms"}),
            "upstream max stream duration reached",
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
