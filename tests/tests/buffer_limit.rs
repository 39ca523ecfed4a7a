//! Body limits on the real Envoy, where a table row is too small: big bodies,
//! Envoy's own limits, clients that go.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{h1, h2, raw};
use btp_tests::{Body, Builder, Envoy, Reply, Request, Route, Upstream, setup};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1024 * 1024;

async fn start(buffer: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    setup::start(edit(setup::limiting_bodies(buffer))).await
}

/// A body of `size` bytes that is not all the same.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_length_is_answered_without_the_body() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let (envoy, upstream) = start(&json!({"limit": 100, "mode": mode}), |b| b).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 101\r\n\r\n")
            .await?;
        let response = client.read_response().await?;
        ensure!(response.status == 413 && response.text() == "Payload Too Large");
        ensure!(response.header("connection").as_deref() == Some("close"));
        ensure!(upstream.requests().is_empty(), "{mode}");

        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send(
                "POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 101\r\n\r\n",
            )
            .await?;
        ensure!(client.read_response().await?.status == 100);
        ensure!(client.read_response().await?.status == 413);
        ensure!(envoy.policy_stat("request_buffer_too_large").await? == 2);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_from_nothing_to_64_mib() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let buffer = json!({"limit": "64Mi", "mode": mode});
        let limit = u32::try_from(65 * MIB)?;
        let (envoy, upstream) = start(&buffer, |b| b.buffer_limit(limit)).await?;
        for size in [0, 1, 16 * 1024, MIB, MIB + 1, 16 * MIB, 64 * MIB] {
            for (http2, chunked) in [(false, false), (false, true), (true, false)] {
                if http2 && size > 16 * MIB && mode == "Buffer" {
                    continue;
                }
                upstream.clear();
                let bytes = pattern(size);
                let body = if chunked {
                    Body::chunked(bytes.chunks(60_000).map(<[u8]>::to_vec))
                } else {
                    Body::sized(bytes.clone())
                };
                let request = Request::new("POST", "/").body(body);
                let response = if http2 {
                    h2::send(envoy.addr(), request).await?
                } else {
                    h1::send(envoy.addr(), request).await?
                };
                let what = format!("{mode} {size} {http2} {chunked}: {response:?}");
                ensure!(response.status == 200, "{what}");
                ensure!(upstream.requests()[0].body == bytes, "{what}");
            }
        }
        let more = Body::chunked(pattern(64 * MIB + 1).chunks(MIB).map(<[u8]>::to_vec));
        let response = h1::send(envoy.addr(), Request::new("POST", "/").body(more)).await;
        // A client that is still sending may see the connection end instead.
        if let Ok(response) = response {
            ensure!(response.status == 413, "{response:?}");
        }
        ensure!(envoy.policy_stat("request_buffer_too_large").await? == 1);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_beyond_4_gib() -> Result<()> {
    let buffer = json!({"limit": "8Gi", "mode": "Stream"});
    let (envoy, upstream) = start(&buffer, |b| b).await?;
    for (length, refused) in [(8_589_934_592_u64, false), (8_589_934_593, true)] {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\nx");
        client.send(head).await?;
        if refused {
            ensure!(client.read_response().await?.status == 413);
        } else {
            upstream.wait_for_requests(1, PATIENCE).await?;
        }
    }
    ensure!(upstream.requests().len() == 1);
    Ok(())
}

/// The response has begun when the limit is passed: too late for a 413.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_has_been_answered_is_reset() -> Result<()> {
    let (envoy, upstream) = start(&json!({"limit": 10, "mode": "Stream"}), |b| b).await?;
    let endless = Body::streamed([(Duration::ZERO, "begun"), (PATIENCE, "never")]);
    upstream.script("/", [Reply::status(200).body(endless).early()]);
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await?;
    let head = client.read_head().await?;
    ensure!(head.status == 200);
    client.send("6\r\n world\r\n").await?;
    client.read_until_closed(PATIENCE).await?;
    ensure!(envoy.policy_stat("request_buffer_too_large").await? == 1);
    envoy.assert_vm_alive().await
}

/// Envoy buffers 1 MiB by default over HTTP/1: a larger limit is not reached,
/// and the operator is told.
#[tokio::test(flavor = "multi_thread")]
async fn envoys_own_buffer_limit_is_noticed() -> Result<()> {
    let (envoy, upstream) = start(&json!({"limit": "8Mi"}), |b| b).await?;
    let response = envoy.send(Request::post("/", pattern(4 * MIB))).await;
    if let Ok(response) = response {
        ensure!(response.status == 413, "{response:?}");
    }
    envoy
        .wait_for_log("smaller than requestBuffer.limit (8388608 bytes)", PATIENCE)
        .await?;
    ensure!(envoy.policy_stat("request_buffer_overflows").await? == 1);
    ensure!(envoy.policy_stat("request_buffer_too_large").await? == 0);
    ensure!(upstream.requests().is_empty(), "half a request went on");
    envoy.assert_vm_alive().await?;

    // The route's own limit raises it.
    let upstream = Upstream::start().await?;
    let raised = Route::cluster("/", "backend")
        .edit(|route| route["request_body_buffer_limit"] = json!(8 * MIB));
    let builder = Builder::new()
        .plugin(&setup::body_policy(&json!({"limit": "8Mi"})))
        .stop_iteration(true)
        .route(raised)
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&builder.build()?).await?;
    let response = envoy.send(Request::post("/", pattern(8 * MIB))).await?;
    ensure!(response.status == 200, "{response:?}");
    ensure!(upstream.requests()[0].body.len() == 8 * MIB);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_buffer_needs_envoys_setting_to_be_repeated() -> Result<()> {
    let upstream = Upstream::start().await?;
    let plugin = json!({"policies": [{"metadata": {"name": "p"},
                        "spec": {"requestBuffer": {"limit": 10}}}]});
    let builder = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let log = Envoy::fails_to_start(&builder.build()?).await?;
    ensure!(
        log.contains("policies[0].spec.requestBuffer.mode: is Buffer, which needs"),
        "{log}"
    );
    Ok(())
}

/// Clients that go in the middle of a body leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_reach_nobody() -> Result<()> {
    let (envoy, upstream) = start(&json!({"limit": "1Mi"}), |b| b).await?;
    for _ in 0..20 {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send("POST /gone HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf")
            .await?;
        client.reset()?;
        let cut = Body::chunked(["half"]).cut();
        let _ = h2::send(envoy.addr(), Request::new("POST", "/gone").body(cut)).await;
    }
    let response = envoy.send(Request::post("/stays", "whole")).await?;
    ensure!(response.status == 200);
    ensure!(upstream.requests().len() == 1, "{:?}", upstream.requests());
    envoy.assert_vm_alive().await
}

/// HTTP/2 has a window of 16 MiB by default: a body that fills it is answered,
/// and the route's own limit lets it through.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_larger_than_the_http2_window() -> Result<()> {
    let upstream = Upstream::start().await?;
    let raised = Route::cluster("/raised", "backend")
        .edit(|route| route["request_body_buffer_limit"] = json!(64 * MIB));
    let builder = Builder::new()
        .plugin(&setup::body_policy(&json!({"limit": "64Mi"})))
        .stop_iteration(true)
        .route(raised)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&builder.build()?).await?;
    let bytes = pattern(40 * MIB);
    let response = h2::send(envoy.addr(), Request::post("/raised", bytes.clone())).await?;
    ensure!(response.status == 200, "{response:?}");
    ensure!(upstream.requests()[0].body == bytes);
    let response = h2::send(envoy.addr(), Request::post("/", bytes)).await;
    if let Ok(response) = response {
        ensure!(response.status == 413, "{response:?}");
    }
    ensure!(envoy.policy_stat("request_buffer_overflows").await? == 1);
    ensure!(upstream.requests().len() == 1);
    envoy.assert_vm_alive().await
}
