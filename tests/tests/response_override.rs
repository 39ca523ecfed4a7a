//! Overrides on the real Envoy, where a table row is too small: connections,
//! streams, resets, other filters.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{grpc, h1, h2, raw};
use btp_tests::{Body, Builder, Envoy, Reply, Request, Route, Upstream};
use serde_json::{Value, json};

fn errors_become(response: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": {"responseOverride": [{
        "match": {"statusCodes": [{"type": "Range", "range": {"start": 400, "end": 599}}]},
        "response": response}]}}]})
}

fn sorry() -> Value {
    errors_become(&json!({"body": {"inline": "sorry"}}))
}

async fn start(plugin: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&edit(builder).build()?).await?;
    Ok((envoy, upstream))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_error_keeps_the_upstream_connection() -> Result<()> {
    let (envoy, upstream) = start(&sorry(), |b| b).await?;
    let mut client = h1::Connection::open(envoy.addr()).await?;
    for path in [
        "/status/500",
        "/status/200",
        "/status/404?empty",
        "/status/200",
    ] {
        client.send(Request::get(path)).await?;
    }
    client.send(Request::new("HEAD", "/status/500")).await?;
    client.send(Request::get("/status/200")).await?;
    let connections: Vec<u64> = upstream.requests().iter().map(|r| r.connection).collect();
    ensure!(connections == [0; 6], "{connections:?}");
    // As documented, the rest costs the connection.
    client.send(Request::get("/status/500?chunked")).await?;
    client.send(Request::get("/status/200")).await?;
    ensure!(
        upstream
            .requests()
            .last()
            .is_some_and(|r| r.connection == 1)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_many_pieces_is_replaced_once() -> Result<()> {
    let (envoy, upstream) = start(&sorry(), |b| b).await?;
    for length in [Some(3_000), None] {
        for http2 in [false, true] {
            let pieces = (0..30).map(|_| (Duration::from_millis(2), vec![b'x'; 100]));
            let mut reply = Reply::status(503).body(Body::streamed(pieces));
            if let Some(length) = length {
                reply = reply.header("content-length", length.to_string());
            }
            upstream.script("/pieces", [reply]);
            let request = Request::get("/pieces");
            let response = if http2 {
                h2::send(envoy.addr(), request).await?
            } else {
                h1::send(envoy.addr(), request).await?
            };
            ensure!(
                response.status == 503 && response.text() == "sorry",
                "{response:?}"
            );
            ensure!(response.header("content-length").as_deref() == Some("5"));
            ensure!(response.broken.is_none());
        }
    }
    envoy.assert_vm_alive().await
}

/// The client has the whole replacement before the upstream breaks off.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_midway_does_not_harm_the_replacement() -> Result<()> {
    let (envoy, upstream) = start(&sorry(), |b| b).await?;
    let pieces = [
        (Duration::ZERO, "half"),
        (Duration::from_millis(100), "way"),
    ];
    let reply = Reply::status(500)
        .header("content-length", "1000")
        .body(Body::streamed(pieces).cut());
    upstream.script("/cut", [reply]);
    let response = envoy.get("/cut").await?;
    ensure!(
        response.status == 500 && response.text() == "sorry",
        "{response:?}"
    );
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_resets_is_overridden_like_any_error() -> Result<()> {
    let (envoy, upstream) = start(&sorry(), |b| b).await?;
    upstream.script("/reset", [Reply::reset(), Reply::reset()]);
    let response = envoy.get("/reset").await?;
    ensure!(
        response.status == 503 && response.text() == "sorry",
        "{response:?}"
    );
    let response = h2::send(envoy.addr(), Request::get("/reset")).await?;
    ensure!(
        response.status == 503 && response.text() == "sorry",
        "{response:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_go_with_the_body_they_belonged_to() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = Builder::new()
        .plugin(&sorry())
        .route(Route::cluster("/", "backend"))
        .cluster_h2("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    for length in [Some("4"), None] {
        let body = Body::streamed([(Duration::ZERO, "oops")]).trailer("x-trailer", "yes");
        let mut reply = Reply::status(500).body(body);
        if let Some(length) = length {
            reply = reply.header("content-length", length);
        }
        upstream.script("/t", [reply]);
        let response = h2::send(envoy.addr(), Request::get("/t")).await?;
        ensure!(response.text() == "sorry", "{response:?}");
        ensure!(response.trailer("x-trailer").is_none(), "{response:?}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_of_filters_behind_us_are_overridden() -> Result<()> {
    let abort = json!({"name": "envoy.filters.http.fault", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 401, "percentage": {"numerator": 100}}}});
    let (envoy, upstream) = start(&sorry(), |b| b.http_filter(abort)).await?;
    let response = envoy.get("/").await?;
    ensure!(
        response.status == 401 && response.text() == "sorry",
        "{response:?}"
    );
    ensure!(upstream.requests().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_clients_get_grpc_errors() -> Result<()> {
    let upstream = Upstream::start().await?;
    let plugin = errors_become(&json!({"statusCode": 503, "body": {"inline": "try later"}}));
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster_h2("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let reply = grpc::call(envoy.addr(), "/svc/status/404", b"message").await?;
    ensure!(reply.grpc_status == Some(14), "{reply:?}");
    let fine = grpc::call(envoy.addr(), "/svc/grpc/5", b"message").await?;
    ensure!(
        fine.grpc_status == Some(5),
        "an answer in gRPC form is touched: {fine:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests() -> Result<()> {
    let (envoy, _upstream) = start(&sorry(), |b| b).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
    client
        .send(get("/status/500") + &get("/status/200") + &get("/status/502"))
        .await?;
    for body in ["sorry", "upstream says 200\n", "sorry"] {
        let response = client.read_response().await?;
        ensure!(response.text() == body, "{response:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_pass() -> Result<()> {
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"responseOverride": [{
        "match": {"statusCodes": [{"type": "Range", "range": {"start": 200, "end": 599}}]},
        "response": {"body": {"inline": "replaced"}}}]}}]});
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let echo = listener.local_addr()?;
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = [0; 1024];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut buffer).await?;
            head.extend_from_slice(&buffer[..count]);
        }
        let accept =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(accept.as_bytes()).await?;
        let count = stream.read(&mut buffer).await?;
        stream.write_all(&buffer[..count]).await
    });
    let mut bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", echo)
        .build()?;
    bootstrap.edit_http("main", |http| {
        http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    })?;
    let envoy = Envoy::start(&bootstrap).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send("GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await?;
    let head = client.read_head().await?;
    ensure!(head.status == 101, "{head:?}");
    client.send("through the tunnel").await?;
    let echoed = client.read_within(Duration::from_millis(500)).await?;
    ensure!(echoed == b"through the tunnel", "{echoed:?}");
    Ok(())
}
