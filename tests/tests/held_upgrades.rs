//! A WebSocket that waits: its upgrade is delayed and counted, nothing that comes early
//! gets through, and then the tunnel is open, for as long as its place is taken.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::client::raw;
use btp_tests::{Builder, Envoy, Route, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);
const DELAY: Duration = Duration::from_millis(500);
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\n\
                       upgrade: websocket\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                        upgrade: websocket\r\n\r\n";

/// Accepts one upgrade, and sends back what comes behind it, once each `!` has come;
/// gives the time when the upgrade was there.
fn origin(listener: TcpListener) -> JoinHandle<Result<Instant>> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut seen = Vec::new();
        let end = loop {
            ensure!(stream.read_buf(&mut seen).await? > 0, "no upgrade");
            if let Some(end) = seen.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let came = Instant::now();
        stream.write_all(ACCEPTED.as_bytes()).await?;
        let mut behind = seen.split_off(end);
        loop {
            if behind.ends_with(b"!") {
                stream.write_all(&behind).await?;
                behind.clear();
            }
            // The tunnel ends with a reset, too.
            if stream.read_buf(&mut behind).await.unwrap_or(0) == 0 {
                return Ok(came);
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_waits_for_its_delay_and_keeps_its_place() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let origin = origin(listener);
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {
        "faultInjection": {"delay": {"fixedDelay": "500ms"},
            "match": [{"path": {"type": "Exact", "value": "/ws"}}]},
        "rateLimit": {"local": {"rules": [{"concurrency": {"max": 1}}]}}}}]});
    let builder = Builder::new().plugin(&plugin).cluster("backend", addr);
    let builder = builder.route(Route::cluster("/ws", "backend"));
    let mut bootstrap = builder.route(Route::direct("/", 200, "ok")).build()?;
    bootstrap.edit_http("main", |http| {
        http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    })?;
    let envoy = Envoy::start(&bootstrap).await?;
    let in_flight = async |wanted: u64| {
        wait::until_async(&format!("{wanted} in flight"), PATIENCE, async || {
            let counted = envoy
                .policy_stat("rate_limit.rule-af63bd4c.in_flight")
                .await?;
            Ok((counted == wanted).then_some(()))
        })
        .await
    };

    let sent = Instant::now();
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client.send(format!("{UPGRADE}early, ")).await?;
    ensure!(client.read_head().await?.status == 101);
    client.send("and late!").await?;
    let mut echo = Vec::new();
    while echo.len() < b"early, and late!".len() {
        let more = client.read_within(Duration::from_millis(100)).await?;
        ensure!(sent.elapsed() < PATIENCE, "{echo:?}");
        echo.extend(more);
    }
    ensure!(echo == b"early, and late!", "{echo:?}");
    in_flight(1).await?;
    ensure!(envoy.get("/").await?.status == 429);
    client.reset()?;
    in_flight(0).await?;
    ensure!(envoy.get("/").await?.status == 200);
    let came = origin.await?.context("the origin")?;
    ensure!(came - sent >= DELAY, "{:?}", came - sent);
    envoy.assert_vm_alive().await
}
