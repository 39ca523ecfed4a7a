//! No label takes a body out of its bounds, on the real Envoy: not a content
//! type, not an upgrade that nobody accepts, not an expectation.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::client::{grpc, h2, raw};
use btp_tests::{Body, Builder, Envoy, Request, Route, Upstream, setup, wait};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// Ten pieces of 50 bytes take 3 s: 167 B/s where 10,000 are required.
fn shield() -> Value {
    json!({"limit": "1Mi", "maxTotal": "1Mi", "maxDuration": "2s",
        "minDataRate": {"bytesPerSecond": 10_000, "gracePeriod": "500ms"}})
}

fn dribble() -> Body {
    Body::streamed((0..10).map(|_| (300 * MS, vec![b'x'; 50])))
}

/// Sends the head, then a piece each 300 ms, until there is an answer.
async fn dribble_raw(envoy: &Envoy, head: &str) -> Result<raw::RawResponse> {
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client.send(head).await?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let _ = client.send([b'x'; 50]).await;
        let response = tokio::time::timeout(300 * MS, client.read_response()).await;
        if let Ok(response) = response {
            return response;
        }
    }
    anyhow::bail!("no answer")
}

/// S6: over HTTP/1.1, or with another method than POST, a content type makes
/// no call.
#[tokio::test(flavor = "multi_thread")]
async fn a_content_type_alone_does_not_end_the_pace() -> Result<()> {
    let (envoy, upstream) = setup::start(setup::limiting_bodies(&shield())).await?;
    for (index, label) in ["", "content-type: application/grpc\r\n"]
        .into_iter()
        .enumerate()
    {
        let head =
            format!("POST /h1/{index} HTTP/1.1\r\nhost: h\r\n{label}content-length: 500\r\n\r\n");
        let response = dribble_raw(&envoy, &head).await?;
        // Envoy says it in gRPC to whoever says gRPC.
        let wanted = if label.is_empty() {
            (408, None)
        } else {
            (200, Some("8"))
        };
        ensure!(
            (response.status, response.header("grpc-status").as_deref()) == wanted,
            "{response:?}"
        );
    }
    // A length that is declared is no stream's.
    let declared = Request::new("POST", "/h2").header("content-length", "500");
    for request in [Request::new("PUT", "/h2"), declared] {
        let request = request
            .header("content-type", "application/grpc")
            .body(dribble());
        let response = h2::send(envoy.addr(), request).await?;
        ensure!(
            response.header("grpc-status").as_deref() == Some("8"),
            "{response:?}"
        );
    }
    ensure!(
        upstream.requests().is_empty(),
        "the upstream saw a slow body"
    );
    ensure!(envoy.policy_stat("request_buffer_timeouts").await? == 4);
    ensure!(envoy.policy_stat("request_buffer_bytes").await? == 0);
    envoy.assert_vm_alive().await
}

/// A call may be a stream, so it passes as it comes, unless the policy says
/// that all calls are unary.
#[tokio::test(flavor = "multi_thread")]
async fn calls_keep_the_pace_where_the_policy_gathers_them() -> Result<()> {
    for gathers in [false, true] {
        let mut buffer = shield();
        buffer["gatherGrpc"] = gathers.into();
        let upstream = Upstream::start().await?;
        let builder = setup::limiting_bodies(&buffer)
            .route(Route::cluster("/", "backend"))
            .cluster_h2("backend", upstream.addr());
        let envoy = Envoy::start(&builder.build()?).await?;
        let quick = grpc::call(envoy.addr(), "/quick/grpc/0", b"hello").await?;
        ensure!(quick.grpc_status == Some(0), "{quick:?}");
        let slow = grpc::request("/slow/grpc/0", b"").body(dribble());
        let slow = grpc::send(envoy.addr(), slow).await;
        let seen = upstream.requests_under("/slow");
        if gathers {
            ensure!(slow?.grpc_status == Some(8));
            ensure!(seen.is_empty(), "the upstream saw a slow call");
            let quick = upstream.requests_under("/quick");
            ensure!(quick[0].header("content-length").as_deref() == Some("10"));
        } else {
            ensure!(seen.len() == 1 && seen[0].body.len() == 500, "{seen:?}");
        }
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// Envoy answers the expectation itself; the body has its time all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_does_not_end_the_pace() -> Result<()> {
    let (envoy, upstream) = setup::start(setup::limiting_bodies(&shield())).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 500\r\n\r\n")
        .await?;
    ensure!(client.read_head().await?.status == 100);
    client.send([b'x'; 50]).await?;
    ensure!(client.read_response().await?.status == 408);
    ensure!(upstream.requests().is_empty());
    envoy.assert_vm_alive().await
}

/// An origin in raw TCP: answers the first request as it is told, and counts
/// the bytes that come behind its head.
struct Origin {
    addr: SocketAddr,
    behind: watch::Receiver<Option<usize>>,
    task: JoinHandle<Result<()>>,
}

impl Origin {
    async fn start(answer: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (count, behind) = watch::channel(None);
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut seen = Vec::new();
            let mut answered = false;
            loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await?;
                if read == 0 {
                    return Ok(());
                }
                seen.extend_from_slice(&piece[..read]);
                let end = seen.windows(4).position(|it| it == b"\r\n\r\n");
                let Some(end) = end else { continue };
                count.send_replace(Some(seen.len() - end - 4));
                if !std::mem::replace(&mut answered, true) {
                    stream.write_all(answer.as_bytes()).await?;
                }
            }
        });
        Ok(Self { addr, behind, task })
    }

    /// Bytes behind the head; `None` before there is a head.
    fn behind(&self) -> Option<usize> {
        *self.behind.borrow()
    }

    async fn wait_for(&self, bytes: usize) -> Result<()> {
        let came = || (self.behind()? >= bytes).then_some(());
        wait::until(&format!("{bytes} bytes at the origin"), PATIENCE, came).await
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                        upgrade: websocket\r\n\r\n";
const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\n";

async fn start_tunnelling(buffer: &Value, origin: &Origin) -> Result<Envoy> {
    let builder: Builder = setup::limiting_bodies(buffer)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", origin.addr);
    let mut config = builder.build()?;
    config.edit_http("main", |http| {
        http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    })?;
    Envoy::start(&config).await
}

/// S15: what comes behind an upgrade counts until it is accepted, whether its
/// length is declared or not, and nothing of it reaches the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_behind_an_upgrade_counts_until_it_is_accepted() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let buffer = json!({"limit": 1000, "mode": mode});
        // Declared: at once. Not declared: when there is too much.
        for length in ["content-length: 50000\r\n", ""] {
            let origin = Origin::start("").await?;
            let envoy = start_tunnelling(&buffer, &origin).await?;
            let mut client = raw::Connection::open(envoy.addr()).await?;
            client
                .send(format!(
                    "POST / HTTP/1.1\r\nhost: h\r\n{UPGRADE}{length}\r\n"
                ))
                .await?;
            if length.is_empty() {
                origin.wait_for(0).await?;
            }
            let _ = client.send([b'x'; 1_001]).await;
            ensure!(
                client.read_response().await?.status == 413,
                "{mode} {length:?}"
            );
            ensure!(origin.behind().unwrap_or(0) == 0, "{mode} {length:?}");
            ensure!(envoy.policy_stat("request_buffer_too_large").await? == 1);
            envoy.assert_vm_alive().await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_upgrade_is_not_counted() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let origin = Origin::start(ACCEPTED).await?;
        let envoy = start_tunnelling(&json!({"limit": 1000, "mode": mode}), &origin).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send(format!("GET / HTTP/1.1\r\nhost: h\r\n{UPGRADE}\r\n"))
            .await?;
        ensure!(client.read_head().await?.status == 101, "{mode}");
        for _ in 0..5 {
            client.send([b'x'; 10_000]).await?;
        }
        origin.wait_for(50_000).await?;
        ensure!(envoy.policy_stat("request_buffer_too_large").await? == 0);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// The same over HTTP/2 (RFC 8441), where the client is told 200.
#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_extended_connect_is_not_counted() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let origin = Origin::start(ACCEPTED).await?;
        let builder = setup::limiting_bodies(&json!({"limit": 1000, "mode": mode}))
            .route(Route::direct("/ready", 200, "ready"))
            .route(Route::cluster("/", "backend"))
            .cluster("backend", origin.addr);
        let mut config = builder.build()?;
        config.edit_http("main", |http| {
            http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
            http["http2_protocol_options"] = json!({"allow_connect": true});
        })?;
        let envoy = Envoy::start(&config).await?;
        let stream = TcpStream::connect(envoy.addr()).await?;
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        // Once it has answered, its settings have said that it knows the method.
        let ready = format!("http://{}/ready", envoy.addr());
        let ready = http::Request::get(ready).body(Empty::<Bytes>::new())?;
        ensure!(sender.send_request(ready).await?.status() == 200);
        let mut request = http::Request::connect(format!("http://{}/ws", envoy.addr()))
            .body(Empty::<Bytes>::new())?;
        let protocol = hyper::ext::Protocol::from_static("websocket");
        request.extensions_mut().insert(protocol);
        let response = sender.send_request(request).await?;
        ensure!(response.status() == 200, "{mode}: {response:?}");
        let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await?);
        tunnel.write_all(&[b'x'; 50_000]).await?;
        tunnel.flush().await?;
        origin.wait_for(50_000).await?;
        ensure!(envoy.policy_stat("request_buffer_too_large").await? == 0);
        envoy.assert_vm_alive().await?;
        driver.abort();
    }
    Ok(())
}

/// An origin may wait for a body that is declared, which Envoy keeps until the
/// upgrade is accepted: a client must not make it wait longer by being slow.
#[tokio::test(flavor = "multi_thread")]
async fn a_declared_body_behind_an_upgrade_has_its_time() -> Result<()> {
    let origin = Origin::start("").await?;
    let envoy = start_tunnelling(&shield(), &origin).await?;
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\n{UPGRADE}content-length: 500\r\n\r\n");
    let response = dribble_raw(&envoy, &head).await?;
    ensure!(response.status == 408, "{response:?}");
    ensure!(origin.behind() == Some(0), "{:?}", origin.behind());
    ensure!(envoy.policy_stat("request_buffer_bytes").await? == 0);
    envoy.assert_vm_alive().await
}

/// A WebSocket whose origin takes longer to accept than any body may take is
/// not cut off: no body was promised.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_is_not_the_clients_fault() -> Result<()> {
    let origin = Origin::start("").await?;
    let envoy = start_tunnelling(&shield(), &origin).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send(format!("GET / HTTP/1.1\r\nhost: h\r\n{UPGRADE}\r\n"))
        .await?;
    origin.wait_for(0).await?;
    let read = client.read_within(3_000 * MS).await?;
    ensure!(read.is_empty(), "{}", String::from_utf8_lossy(&read));
    ensure!(envoy.policy_stat("request_buffer_timeouts").await? == 0);
    envoy.assert_vm_alive().await.context("alive")
}
