//! `healthCheck.active` on the real Envoy: what counts as healthy, how often
//! it must be so, and in which protocol it is probed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use btp_tests::native::{SOON, backend, cluster_of, governed, many, upstreams, wait_for_stat};
use btp_tests::{Builder, Envoy, Reply, Route, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const HEALTHY: &str = "cluster.backend.membership_healthy";
const FAILURES: &str = "cluster.backend.health_check.failure";
const SUCCESSES: &str = "cluster.backend.health_check.success";

/// A health check with these settings; one answer decides.
fn active(check: Value) -> Value {
    let mut active = json!({"interval": "100ms", "timeout": "5s",
        "healthyThreshold": 1, "unhealthyThreshold": 1});
    for (name, value) in check.as_object().into_iter().flatten() {
        active[name] = value.clone();
    }
    json!({ "healthCheck": { "active": active, "panicThreshold": 0 } })
}

fn http(settings: Value) -> Value {
    let mut check = json!({"type": "HTTP", "http": {"path": "/up"}});
    for (name, value) in settings.as_object().into_iter().flatten() {
        check[name] = value.clone();
    }
    active(check)
}

/// The counter when the number of healthy endpoints becomes this.
async fn count_when(envoy: &Envoy, healthy: u64, counter: &str) -> Result<u64> {
    wait::until_async("a change of health", SOON, async || {
        let stats = envoy.stats_matching(r"^cluster\.backend\.(membership_healthy|health_check)");
        let stats = stats.await?;
        let is_it = stats.get(HEALTHY) == Some(&healthy);
        Ok(stats.get(counter).copied().filter(|_| is_it))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_is_none() -> Result<()> {
    for (timeout, healthy) in [("300ms", 1), ("20s", 2)] {
        let upstreams = upstreams(2).await?;
        let slow = Reply::status(200).after(Duration::from_millis(900));
        upstreams[0].script("/up", many(&slow));
        let envoy = governed(&upstreams, &http(json!({"timeout": timeout}))).await?;
        upstreams[0].wait_for_requests(3, SOON).await?;
        wait_for_stat(&envoy, HEALTHY, |found| found == healthy).await?;
        let failures = envoy.stat(FAILURES).await?.unwrap_or_default();
        ensure!((failures > 0) == (healthy == 1), "{timeout}: {failures}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_changes_after_as_many_answers_as_told() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let settings = json!({"interval": "500ms", "unhealthyThreshold": 3, "healthyThreshold": 4,
        "http": {"path": "/up", "retriableStatuses": [503]}});
    let envoy = governed(&upstreams, &http(settings)).await?;
    wait_for_stat(&envoy, HEALTHY, |healthy| healthy == 1).await?;
    upstreams[0].script("/up", many(&Reply::status(503)));
    let failures = count_when(&envoy, 0, FAILURES).await?;
    ensure!((3..=4).contains(&failures), "{failures} failures");
    let before = envoy.stat(SUCCESSES).await?.unwrap_or_default();
    upstreams[0].script("/up", []);
    let successes = count_when(&envoy, 1, SUCCESSES).await? - before;
    ensure!((4..=5).contains(&successes), "{successes} successes");
    // Of a status that is not to be retried, one is enough.
    let failed = envoy.stat(FAILURES).await?.unwrap_or_default();
    upstreams[0].script("/up", many(&Reply::status(500)));
    let failures = count_when(&envoy, 0, FAILURES).await? - failed;
    ensure!((1..=2).contains(&failures), "{failures} failures");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn first_checks_are_spread_over_the_jitter() -> Result<()> {
    // Eight draws from three seconds lie within half a second of one another
    // once in 50,000 runs.
    let upstreams = upstreams(8).await?;
    let settings = json!({"interval": "1h", "initialJitter": "3s"});
    let _envoy = governed(&upstreams, &http(settings)).await?;
    let mut first = Vec::new();
    for upstream in &upstreams {
        first.push(upstream.wait_for_requests(1, SOON).await?[0].headers_at);
    }
    first.sort();
    let spread = first[7] - first[0];
    ensure!(spread >= Duration::from_millis(500), "{spread:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_checks_say_and_expect_what_they_are_told() -> Result<()> {
    let mut endpoints = Vec::new();
    for answer in ["pong", "gone"] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        endpoints.push(listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut asked = [0; 4];
                    while stream.read_exact(&mut asked).await.is_ok() && &asked == b"ping" {
                        stream.write_all(answer.as_bytes()).await?;
                    }
                    Ok::<_, std::io::Error>(())
                });
            }
        });
    }
    let says = |text: &str| json!({"type": "Text", "text": text});
    for (send, healthy) in [("ping", 1), ("what", 0)] {
        let mut bootstrap = Builder::new()
            .raw_cluster(cluster_of("backend", &endpoints))
            .route(Route::cluster("/", "backend"))
            .build()?;
        let check = json!({"type": "TCP", "timeout": "500ms",
            "tcp": {"send": says(send), "receive": says("pong")}});
        bootstrap.govern("backend", &active(check))?;
        let envoy = Envoy::start(&bootstrap).await?;
        wait_for_stat(&envoy, FAILURES, |failures| failures > 2 - healthy).await?;
        let found = envoy.stat(HEALTHY).await?;
        ensure!(found == Some(healthy), "{send}: {found:?}");
    }
    Ok(())
}

/// Makes a cluster speak HTTP/3 alone.
fn speak_http3(cluster: &mut Value) {
    const QUIC: &str = "type.googleapis.com/envoy.extensions.transport_sockets.quic.v3";
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    cluster["transport_socket"] = json!({
        "name": "envoy.transport_sockets.quic",
        "typed_config": {
            "@type": format!("{QUIC}.QuicUpstreamTransport"),
            "upstream_tls_context": {"sni": "origin.test"},
        },
    });
    cluster["typed_extension_protocol_options"] = json!({OPTIONS: {
        "@type": format!("type.googleapis.com/{OPTIONS}"),
        "explicit_http_config": {"http3_protocol_options": {}},
    }});
}

/// Envoy 1.40 ends if it is to ask in HTTP/3. If this fails because it does so
/// no more, let the translation write that.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_speaks_http3_cannot_be_asked_in_it() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let mut bootstrap = backend(&upstreams)?;
    bootstrap.edit(|config| speak_http3(&mut config["static_resources"]["clusters"][0]));
    let refused = bootstrap.clone().govern("backend", &http(json!({}))).err();
    let said = format!("{:#}", refused.context("it was taken")?);
    ensure!(said.contains("HTTP/3"), "{said}");
    bootstrap.edit(|config| {
        config["static_resources"]["clusters"][0]["health_checks"] = json!([{
            "timeout": "1s", "interval": "1s", "healthy_threshold": 1, "unhealthy_threshold": 1,
            "http_health_check": {"path": "/up", "codec_client_type": "HTTP3"},
        }]);
    });
    let said = Envoy::fails_to_start(&bootstrap).await?;
    ensure!(said.contains("unknown exception"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_come_at_the_interval() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let _envoy = governed(&upstreams, &http(json!({"interval": "600ms"}))).await?;
    let checks = upstreams[0].wait_for_requests(3, SOON).await?;
    let pause = checks[2].headers_at - checks[1].headers_at;
    ensure!(pause >= Duration::from_millis(550), "{pause:?}");
    Ok(())
}
