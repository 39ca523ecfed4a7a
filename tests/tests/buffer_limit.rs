//! Body limits on the real Envoy, where a table row is too small: what the
//! upstream sees and when, big bodies, upgrades, Envoy's own limits.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{h1, h2, raw};
use btp_tests::{Body, Bootstrap, Builder, Envoy, Reply, Request, Route, Upstream};
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1024 * 1024;

fn policy(buffer: &Value) -> Value {
    json!({
        "policies": [{"metadata": {"name": "p"}, "spec": {"requestBuffer": buffer}}],
        "allowOnHeadersStopIteration": true,
    })
}

fn bootstrap(buffer: &Value, upstream: &Upstream) -> Builder {
    Builder::new()
        .plugin(&policy(buffer))
        .stop_iteration(true)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
}

async fn start(buffer: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let envoy = Envoy::start(&edit(bootstrap(buffer, &upstream)).build()?).await?;
    Ok((envoy, upstream))
}

async fn start_http(buffer: &Value, edit: impl FnOnce(&mut Value)) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let mut config: Bootstrap = bootstrap(buffer, &upstream).build()?;
    config.edit_http("main", edit)?;
    Ok((Envoy::start(&config).await?, upstream))
}

async fn stat(envoy: &Envoy, name: &str) -> Result<u64> {
    let name = format!("wasmcustom.btp.default.p.{name}");
    Ok(envoy.stat(&name).await?.unwrap_or(0))
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
        ensure!(stat(&envoy, "request_buffer_too_large").await? == 2);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// The client dribbles; the upstream sees nothing until the last byte, and
/// then a request with a length.
#[tokio::test(flavor = "multi_thread")]
async fn a_gathered_body_reaches_the_upstream_whole() -> Result<()> {
    let (envoy, upstream) = start(&json!({"limit": "1Mi"}), |b| b).await?;
    for (http2, trailers) in [(false, false), (true, false), (true, true)] {
        upstream.clear();
        let mut body = Body::streamed((0..10).map(|_| (20 * MS, vec![b'x'; 1_000])));
        if trailers {
            body = body.trailer("x-trailer", "yes");
        }
        let request = Request::new("POST", "/").body(body);
        let started = std::time::Instant::now();
        let response = if http2 {
            h2::send(envoy.addr(), request).await?
        } else {
            h1::send(envoy.addr(), request).await?
        };
        ensure!(response.status == 200, "{response:?}");
        let seen = upstream.requests();
        ensure!(seen.len() == 1 && seen[0].body.len() == 10_000);
        ensure!(
            seen[0].headers_at >= started + 200 * MS,
            "headers came early"
        );
        ensure!(seen[0].header("content-length").as_deref() == Some("10000"));
        ensure!(seen[0].header("transfer-encoding").is_none());
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_reaches_the_upstream_as_it_comes() -> Result<()> {
    let (envoy, upstream) = start(&json!({"limit": "1Mi", "mode": "Stream"}), |b| b).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf.")
        .await?;
    upstream.wait_for_requests(1, PATIENCE).await?;
    client.send("whole").await?;
    ensure!(client.read_response().await?.status == 200);
    ensure!(upstream.requests()[0].text() == "half.whole");
    ensure!(upstream.requests()[0].header("content-length").as_deref() == Some("10"));
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
        ensure!(stat(&envoy, "request_buffer_too_large").await? == 1);
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

/// A second request stands behind the first one's body, in the same packet.
#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_stay_apart() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let (envoy, upstream) = start(&json!({"limit": 10, "mode": mode}), |b| b).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send(
                "POST /1 HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
                 5\r\nfirst\r\n0\r\n\r\n\
                 POST /2 HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\n\r\nsecond\
                 GET /3 HTTP/1.1\r\nhost: h\r\n\r\n",
            )
            .await?;
        for _ in 0..3 {
            ensure!(client.read_response().await?.status == 200);
        }
        let seen = upstream.requests();
        let texts: Vec<_> = seen
            .iter()
            .map(|seen| (seen.path.as_str(), seen.text()))
            .collect();
        ensure!(
            texts
                == [
                    ("/1", "first".into()),
                    ("/2", "second".into()),
                    ("/3", String::new())
                ],
            "{texts:?}"
        );
    }
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
    ensure!(stat(&envoy, "request_buffer_too_large").await? == 1);
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_pass_if_envoy_accepts_them() -> Result<()> {
    const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\n\
                           upgrade: websocket\r\n\r\n";
    for mode in ["Buffer", "Stream"] {
        let buffer = json!({"limit": 10, "mode": mode});
        let (envoy, upstream) = start_http(&buffer, |http| {
            http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        })
        .await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client.send(UPGRADE).await?;
        let seen = upstream.wait_for_requests(1, PATIENCE).await?;
        ensure!(
            seen[0].header("upgrade").as_deref() == Some("websocket"),
            "{mode}"
        );
        // Far more than the limit, on a connection that nobody counts.
        client.send([b'x'; 1_000]).await?;
        ensure!(stat(&envoy, "request_buffer_too_large").await? == 0);

        // What looks like an upgrade and is none is limited like the rest.
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\ncontent-length: 11\r\n\r\n")
            .await?;
        ensure!(client.read_response().await?.status == 413, "{mode}");
        envoy.assert_vm_alive().await?;

        let (envoy, upstream) = start(&buffer, |b| b).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client.send(UPGRADE).await?;
        ensure!(client.read_response().await?.status == 403, "{mode}");
        ensure!(upstream.requests().is_empty());
    }
    Ok(())
}

/// Nobody tells the client to go on, since nothing reaches the upstream: a
/// 417 makes it try again without asking.
#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_that_nobody_would_meet_is_refused() -> Result<()> {
    let ask = async |envoy: &Envoy, length: u32| -> Result<u16> {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        let head = format!(
            "POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        client.send(head).await?;
        Ok(client.read_response().await?.status)
    };
    let proxied = |http: &mut Value| http["proxy_100_continue"] = json!(true);
    let (envoy, _upstream) = start_http(&json!({"limit": 10}), proxied).await?;
    ensure!(ask(&envoy, 10).await? == 417);
    ensure!(ask(&envoy, 11).await? == 413);
    envoy
        .wait_for_log(
            "policy default/p: a client waits for 100 Continue",
            PATIENCE,
        )
        .await?;
    ensure!(stat(&envoy, "request_buffer_expectations_failed").await? == 1);

    let stream = json!({"limit": 10, "mode": "Stream"});
    let (envoy, _upstream) = start_http(&stream, proxied).await?;
    ensure!(ask(&envoy, 10).await? == 100);
    ensure!(ask(&envoy, 11).await? == 413);
    Ok(())
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
    ensure!(stat(&envoy, "request_buffer_overflows").await? == 1);
    ensure!(stat(&envoy, "request_buffer_too_large").await? == 0);
    ensure!(upstream.requests().is_empty(), "half a request went on");
    envoy.assert_vm_alive().await?;

    // The route's own limit raises it.
    let upstream = Upstream::start().await?;
    let raised = Route::cluster("/", "backend")
        .edit(|route| route["request_body_buffer_limit"] = json!(8 * MIB));
    let builder = Builder::new()
        .plugin(&policy(&json!({"limit": "8Mi"})))
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
