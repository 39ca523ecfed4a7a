//! Slow clients and the bound on all bodies together, on the real Envoy.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use btp_tests::client::{h1, h2, raw};
use btp_tests::{Body, Builder, Envoy, Request, Upstream, setup, wait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(buffer: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    setup::start(edit(setup::limiting_bodies(buffer))).await
}

/// At 1,000 B/s with 2 s to spare: half the rate is late after some 4 s (less
/// if the client is slower than it means to be, and never before the 2 s are
/// over), the rate itself and twice the rate never are.
#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_the_rate_gets_through() -> Result<()> {
    let buffer = json!({"limit": "1Mi",
        "minDataRate": {"bytesPerSecond": 1000, "gracePeriod": "2s"}});
    let (envoy, upstream) = start(&buffer, |b| b).await?;
    let peer = envoy.addr();
    let trickle = |bytes: usize, http2: bool| async move {
        let body = Body::streamed((0..60).map(|_| (100 * MS, vec![b'x'; bytes])));
        let request = Request::new("POST", &format!("/{bytes}")).body(body);
        if http2 {
            h2::send(peer, request).await
        } else {
            h1::send(peer, request).await
        }
    };
    let (once, twice, half, half2) = tokio::join!(
        trickle(100, false),
        trickle(200, true),
        trickle(50, false),
        trickle(50, true)
    );
    ensure!(once?.status == 200);
    ensure!(twice?.status == 200);
    // A client may notice the end only while it sends.
    for half in [half, half2].into_iter().flatten() {
        ensure!(
            half.status == 408 && half.text() == "Request Timeout",
            "{half:?}"
        );
        let after = half.headers_after;
        ensure!(after >= 2_000 * MS, "after {after:?}");
    }
    ensure!(envoy.policy_stat("request_buffer_timeouts").await? == 2);
    ensure!(upstream.requests_under("/50").is_empty());
    ensure!(upstream.requests_under("/100")[0].body.len() == 6_000);
    envoy.assert_vm_alive().await
}

/// A client that sends nothing more is answered by its own deadline.
#[tokio::test(flavor = "multi_thread")]
async fn who_stalls_is_answered() -> Result<()> {
    for (buffer, least) in [
        (
            json!({"limit": 100, "minDataRate": {"bytesPerSecond": 10, "gracePeriod": "500ms"}}),
            700,
        ),
        (json!({"limit": 100, "maxDuration": "600ms"}), 600),
    ] {
        let (envoy, upstream) = start(&buffer, |b| b).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        let started = Instant::now();
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n12")
            .await?;
        let response = client.read_response().await?;
        ensure!(response.status == 408, "{response:?}");
        ensure!(response.header("connection").as_deref() == Some("close"));
        let after = started.elapsed();
        ensure!(after >= least * MS, "after {after:?}");
        ensure!(upstream.requests().is_empty());
        // Who is quick is not disturbed.
        ensure!(envoy.send(Request::post("/", "0123456789")).await?.status == 200);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_time_holds_for_those_who_keep_sending() -> Result<()> {
    let (envoy, _upstream) = start(&json!({"limit": "1Mi", "maxDuration": "1s"}), |b| b).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    let started = Instant::now();
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n")
        .await?;
    while started.elapsed() < PATIENCE {
        let _ = client.send([b'x'; 100]).await;
        let read = client.read_within(50 * MS).await?;
        if !read.is_empty() {
            ensure!(read.starts_with(b"HTTP/1.1 408 "));
            ensure!(started.elapsed() >= 1_000 * MS);
            return Ok(());
        }
    }
    anyhow::bail!("no answer")
}

/// A thousand clients want to upload 64 KiB each at the same time where there
/// is room for sixteen: exactly those get through, all others are told to come
/// back, and nothing leaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_uploads_share_what_there_is() -> Result<()> {
    const CLIENTS: usize = 1_000;
    const ROOM: usize = 16;
    const SIZE: usize = 65_536;
    let buffer = json!({"limit": "64Ki", "maxTotal": "1Mi"});
    let (envoy, upstream) = start(&buffer, |b| b.concurrency(2)).await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = raw::Connection::open(envoy.addr()).await?;
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {SIZE}\r\n\r\n");
        client.send(head).await?;
        client.send(vec![b'x'; SIZE / 2]).await?;
        clients.push(client);
    }
    wait::until_async("the others to be refused", PATIENCE, async || {
        let refused = envoy.policy_stat("request_buffer_full").await?;
        Ok((refused >= (CLIENTS - ROOM) as u64).then_some(()))
    })
    .await?;
    ensure!(envoy.policy_stat("request_buffer_bytes").await? == (ROOM * SIZE) as u64);
    let (mut passed, mut refused) = (0, 0);
    for mut client in clients {
        // Those that were refused have been closed already.
        let _ = client.send(vec![b'x'; SIZE / 2]).await;
        let Ok(response) = client.read_response().await else {
            refused += 1;
            continue;
        };
        match response.status {
            200 => passed += 1,
            503 => {
                ensure!(response.header("retry-after").as_deref() == Some("1"));
                refused += 1;
            }
            _ => anyhow::bail!("{response:?}"),
        }
    }
    ensure!(
        (passed, refused) == (ROOM, CLIENTS - ROOM),
        "{passed} {refused}"
    );
    ensure!(upstream.requests().len() == ROOM);
    ensure!(
        upstream
            .requests()
            .iter()
            .all(|seen| seen.body.len() == SIZE)
    );
    ensure!(envoy.policy_stat("request_buffer_bytes").await? == 0);
    envoy.assert_vm_alive().await
}

/// Clients that go at any point give back what was kept for them.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_vanished_client_held_is_free_again() -> Result<()> {
    let buffer = json!({"limit": "64Ki", "maxTotal": "64Ki"});
    let (envoy, upstream) = start(&buffer, |b| b.concurrency(2)).await?;
    for sent in [0, 1, 65_535] {
        for chunked in [false, true] {
            let mut client = raw::Connection::open(envoy.addr()).await?;
            let body = vec![b'x'; sent];
            if chunked {
                client
                    .send("POST /gone HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await?;
                if sent > 0 {
                    client.send(format!("{sent:x}\r\n")).await?;
                }
            } else {
                client
                    .send("POST /gone HTTP/1.1\r\nhost: h\r\ncontent-length: 65536\r\n\r\n")
                    .await?;
            }
            client.send(body).await?;
            if sent > 0 || !chunked {
                wait::until_async("bytes to be held", PATIENCE, async || {
                    let held = envoy.policy_stat("request_buffer_bytes").await?;
                    Ok((held > 0).then_some(()))
                })
                .await?;
            }
            client.reset()?;
            wait::until_async("bytes to be free", PATIENCE, async || {
                let held = envoy.policy_stat("request_buffer_bytes").await?;
                let active = envoy.stat("http.main.downstream_rq_active").await?;
                Ok((held == 0 && active == Some(0)).then_some(()))
            })
            .await?;
        }
    }
    // All of it can be had.
    let whole = vec![b'x'; 65_536];
    ensure!(envoy.send(Request::post("/stays", whole)).await?.status == 200);
    ensure!(upstream.requests().len() == 1);
    envoy.assert_vm_alive().await
}

/// Bodies of unknown length are counted as they come, and refused when there
/// is no more room.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_a_length_share_the_room_too() -> Result<()> {
    let buffer = json!({"limit": "128Ki", "maxTotal": "256Ki"});
    let (envoy, _upstream) = start(&buffer, |b| b.concurrency(2)).await?;
    let peer = envoy.addr();
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(async move {
            let pieces = (0..4).map(|_| (200 * MS, vec![b'x'; 32 * 1024]));
            h2::send(peer, Request::new("POST", "/").body(Body::streamed(pieces))).await
        });
    }
    let (mut passed, mut refused) = (0, 0);
    while let Some(response) = clients.join_next().await {
        match response?.map(|response| response.status) {
            Ok(200) => passed += 1,
            Ok(503) | Err(_) => refused += 1,
            other => anyhow::bail!("{other:?}"),
        }
    }
    ensure!(passed >= 1 && refused >= 1, "{passed} {refused}");
    ensure!(envoy.policy_stat("request_buffer_full").await? == refused);
    ensure!(envoy.policy_stat("request_buffer_bytes").await? == 0);
    envoy.assert_vm_alive().await
}

/// The policies say that Envoy shows bodies of held requests, and it does not:
/// an error after 30 s instead of a hang, and a line in the log that says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_is_not_there_is_noticed() -> Result<()> {
    let (envoy, upstream) = start(&json!({"limit": 100}), |b| b.stop_iteration(false)).await?;
    let started = Instant::now();
    let response = envoy.send(Request::post("/", "body")).await?;
    ensure!(response.status == 500, "{response:?}");
    ensure!(started.elapsed() >= Duration::from_secs(30));
    envoy
        .wait_for_log("set allow_on_headers_stop_iteration to true", PATIENCE)
        .await?;
    ensure!(envoy.policy_stat("request_buffer_blind").await? == 1);
    ensure!(upstream.requests().is_empty());
    // What has no body is not held.
    ensure!(envoy.get("/").await?.status == 200);
    envoy.assert_vm_alive().await
}
