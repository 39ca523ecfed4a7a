//! `healthCheck` on the real Envoy: who is ejected, and who comes back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use btp_tests::client::h1;
use btp_tests::native::{
    SOON, backend, cluster_of, governed, many, nobody, upstreams, wait_for_stat,
};
use btp_tests::{Body, Builder, Envoy, Reply, Request, Route, Upstream, wait};
use serde_json::{Value, json};

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
    let ejected = Instant::now();
    wait_for_stat(&envoy, ejections, |active| active == 0).await?;
    // Envoy Gateway's own time is 30s.
    let out = ejected.elapsed();
    ensure!((4..20).contains(&out.as_secs()), "{out:?}");
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
async fn who_was_ejected_comes_back_at_an_interval() -> Result<()> {
    for (interval, comes_back) in [("1h", false), ("100ms", true)] {
        let upstreams = upstreams(2).await?;
        upstreams[0].script("/", [Reply::status(500)]);
        let spec = json!({
            "loadBalancer": {"type": "RoundRobin"},
            "healthCheck": {"passive": {"consecutive5XxErrors": 1, "interval": interval,
                "baseEjectionTime": "200ms", "maxEjectionPercent": 50}},
        });
        let envoy = governed(&upstreams, &spec).await?;
        while envoy.get("/").await?.status != 500 {}
        let ejections = "cluster.backend.outlier_detection.ejections_active";
        if comes_back {
            let total = "cluster.backend.outlier_detection.ejections_enforced_total";
            wait_for_stat(&envoy, total, |total| total == 1).await?;
            wait_for_stat(&envoy, ejections, |active| active == 0).await?;
        } else {
            wait_for_stat(&envoy, ejections, |active| active == 1).await?;
            tokio::time::sleep(Duration::from_secs(3)).await;
            ensure!(envoy.stat(ejections).await? == Some(1), "it came back");
        }
    }
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

/// Five upstreams of which the first fails in this way.
async fn one_fails(failing: Reply, passive: Value) -> Result<(Vec<Upstream>, Envoy)> {
    let upstreams = upstreams(5).await?;
    upstreams[0].script("/", many(&failing));
    let mut detection = json!({"maxEjectionPercent": 20, "consecutive5XxErrors": 1_000_000});
    for (name, value) in passive.as_object().into_iter().flatten() {
        detection[name] = value.clone();
    }
    let spec = json!({"loadBalancer": {"type": "RoundRobin"},
        "healthCheck": {"passive": detection}});
    let envoy = governed(&upstreams, &spec).await?;
    Ok((upstreams, envoy))
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_errors_are_counted_if_asked_for() -> Result<()> {
    let passive = json!({"consecutiveGatewayErrors": 2});
    let (_upstreams, envoy) = one_fails(Reply::status(502), passive).await?;
    for _ in 0..20 {
        envoy.get("/").await?;
    }
    let name = "cluster.backend.outlier_detection.ejections_enforced_consecutive_gateway_failure";
    wait_for_stat(&envoy, name, |ejected| ejected == 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_are_counted_apart_if_asked_for() -> Result<()> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .raw_cluster(cluster_of("backend", &[nobody()?, upstream.addr()]))
        .route(Route::cluster("/", "backend"))
        .build()?;
    let spec = json!({"loadBalancer": {"type": "RoundRobin"}, "healthCheck": {"passive": {
        "consecutiveLocalOriginFailures": 2, "splitExternalLocalOriginErrors": true,
        "maxEjectionPercent": 50}}});
    bootstrap.govern("backend", &spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    for _ in 0..8 {
        envoy.get("/").await?;
    }
    let detection = "cluster.backend.outlier_detection";
    let name = format!("{detection}.ejections_enforced_consecutive_local_origin_failure");
    wait_for_stat(&envoy, &name, |ejected| ejected == 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_failures_counts_if_asked_for() -> Result<()> {
    const INTERVAL: Duration = Duration::from_secs(4);
    let passive = json!({"failurePercentageThreshold": 50, "interval": "4s"});
    let (_upstreams, envoy) = one_fails(Reply::status(500), passive).await?;
    let name = "cluster.backend.outlier_detection.ejections_enforced_failure_percentage";
    // Envoy judges by it after 50 requests to each of five endpoints within
    // an interval; after 100, by its own success rate before. The end of an
    // interval may come between the requests: then once more.
    for _ in 0..5 {
        let mut kept = h1::Connection::open(envoy.addr()).await?;
        for _ in 0..375 {
            kept.send(Request::get("/")).await?;
        }
        tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
        if envoy.stat(name).await? == Some(1) {
            return Ok(());
        }
    }
    anyhow::bail!("it was not ejected")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_checks_is_written() -> Result<()> {
    let upstreams = upstreams(2).await?;
    upstreams[0].script("/up", many(&Reply::status(500)));
    let file = tempfile::NamedTempFile::new()?;
    let spec = active(
        json!({"type": "HTTP", "http": {"path": "/up"}, "healthCheckLog": {
        "matches": ["Failure", "Success"],
        "sinks": [{"type": "File", "file": {"path": file.path()}}]}}),
    );
    let _envoy = governed(&upstreams, &spec).await?;
    wait::until("both kinds of events", SOON, || {
        let text = std::fs::read_to_string(file.path()).ok()?;
        let has = |event: &str| text.matches(event).count() >= 2;
        (has("health_check_failure_event") && has("successful_health_check_event")).then_some(())
    })
    .await
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
async fn an_endpoint_is_asked_for_the_host_that_it_names() -> Result<()> {
    let own = json!({"hostname": "pod-1.internal"});
    let other = json!({"health_check_config": {"hostname": "other.internal"}});
    for (endpoint, hostname, expected) in [
        (&own, None, "pod-1.internal"),
        (&other, None, "other.internal"),
        (&own, Some("up.example"), "up.example"),
        (&other, Some("up.example"), "up.example"),
    ] {
        let upstreams = upstreams(1).await?;
        let mut bootstrap = backend(&upstreams)?;
        bootstrap.edit(|config| {
            let cluster = &mut config["static_resources"]["clusters"][0];
            let it = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
            for (name, value) in endpoint.as_object().into_iter().flatten() {
                it[name] = value.clone();
            }
        });
        let http = json!({"path": "/up", "hostname": hostname});
        let spec =
            json!({"healthCheck": {"active": {"type": "HTTP", "interval": "100ms", "http": http}}});
        bootstrap.govern("backend", &spec)?;
        let _envoy = Envoy::start(&bootstrap).await?;
        upstreams[0].wait_for_requests(1, SOON).await?;
        let host = upstreams[0].requests()[0].header("host");
        ensure!(host.as_deref() == Some(expected), "{endpoint}: {host:?}");
    }
    Ok(())
}
