//! Overrides on the wire: whatever came, what goes out is one well-formed
//! response, and the connection can be used again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use btp_tests::client::{grpc, h1, h2, raw};
use btp_tests::{Body, Builder, Envoy, Reply, Request, Response, Route, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn policy(rules: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": "p"}, "spec": {"responseOverride": rules}}]})
}

/// Errors become this; with further fields of the rule.
fn errors_become(response: &Value, more: &Value) -> Value {
    let mut rule = json!({
        "match": {"statusCodes": [{"type": "Range", "range": {"start": 300, "end": 599}}]}});
    rule["response"] = response.clone();
    for (name, value) in more.as_object().into_iter().flatten() {
        rule[name] = value.clone();
    }
    policy(&json!([rule]))
}

async fn start(plugin: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let builder = Builder::new()
        .plugin(plugin)
        .route(Route::direct("/direct", 500, "of Envoy"))
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&edit(builder).build()?).await?;
    Ok((envoy, upstream))
}

fn well_formed(head: bool, response: &Response) -> Result<()> {
    ensure!(response.broken.is_none(), "{response:?}");
    for once in ["content-length", "content-type", "date", "server", "vary"] {
        ensure!(
            response.header_values(once).len() <= 1,
            "{once}: {response:?}"
        );
    }
    let length = response.header("content-length");
    let length: Option<usize> = length.map(|it| it.parse()).transpose()?;
    if head {
        ensure!(response.body.is_empty(), "{response:?}");
    } else if let Some(length) = length {
        ensure!(length == response.body.len(), "{response:?}");
    }
    ensure!(
        length.is_none() || response.header("transfer-encoding").is_none(),
        "{response:?}"
    );
    Ok(())
}

/// Every kind of replacement of every kind of response, one after another on
/// one connection. What is malformed would spoil what follows.
#[tokio::test(flavor = "multi_thread")]
async fn every_replacement_of_every_response_is_well_formed() -> Result<()> {
    let paths = [
        "/status/500",
        "/status/500?chunked",
        "/status/500?empty",
        "/status/404?bytes=70000",
        "/status/404?bytes=200000&chunked",
        "/status/304",
        "/status/500?h=content-encoding:gzip",
        "/direct",
        "/status/200",
        "/status/204",
    ];
    let variants = json!([
        {"contentType": "text/html", "body": {"inline": "<p>html"}},
        {"contentType": "application/json", "body": {"inline": "{}"}}]);
    let plugins = [
        errors_become(&json!({"body": {"inline": "sorry"}}), &json!({})),
        errors_become(
            &json!({"statusCode": 200, "body": {"inline": "x".repeat(100_000)}}),
            &json!({"keepHeaders": "All"}),
        ),
        errors_become(&json!({}), &json!({})),
        errors_become(&json!({"statusCode": 204}), &json!({"keepHeaders": "All"})),
        errors_become(&json!({"statusCode": 304}), &json!({})),
        errors_become(&json!({"variants": variants}), &json!({})),
        errors_become(&json!({"keepBody": true, "statusCode": 418}), &json!({})),
    ];
    for plugin in plugins {
        let (envoy, _upstream) = start(&plugin, |b| b).await?;
        let mut one = h1::Connection::open(envoy.addr()).await?;
        let two = h2::Connection::open(envoy.addr()).await?;
        for path in paths {
            for method in ["GET", "HEAD", "POST"] {
                let request = || Request::new(method, path);
                let over_h1 = one
                    .send(request())
                    .await
                    .context(format!("{method} {path}"))?;
                let over_h2 = two
                    .send(request())
                    .await
                    .context(format!("{method} {path}"))?;
                for response in [&over_h1, &over_h2] {
                    let context = format!("{method} {path}, {plugin}");
                    well_formed(method == "HEAD", response).context(context)?;
                }
                ensure!(over_h1.status == over_h2.status, "{over_h1:?} {over_h2:?}");
                ensure!(over_h1.body == over_h2.body, "{over_h1:?} {over_h2:?}");
            }
        }
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// An upstream that answers every request with these bytes.
async fn raw_upstream(answer: &'static str) -> Result<std::net::SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if buffer[..count].ends_with(b"\r\n\r\n")
                        && stream.write_all(answer.as_bytes()).await.is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    Ok(addr)
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_responses_are_no_candidates() -> Result<()> {
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
                  HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops";
    let any = policy(&json!([{
        "match": {"requests": [{"methods": [{"value": "GET"}]}]},
        "response": {"body": {"inline": "%RESPONSE_CODE%"}}}]));
    let upstream = raw_upstream(answer).await?;
    let mut bootstrap = Builder::new()
        .plugin(&any)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream)
        .build()?;
    bootstrap.edit_http("main", |http| {
        http["proxy_100_continue"] = json!(true);
    })?;
    let envoy = Envoy::start(&bootstrap).await?;
    for response in [
        h1::get(envoy.addr(), "/").await?,
        h2::get(envoy.addr(), "/").await?,
    ] {
        ensure!(
            response.status == 500 && response.text() == "500",
            "{response:?}"
        );
    }
    envoy.assert_vm_alive().await
}

/// The upstream's body is compressed on its way by a filter behind us, or was
/// before: the new one is not, and does not say so.
#[tokio::test(flavor = "multi_thread")]
async fn the_encoding_of_the_old_body_goes() -> Result<()> {
    let compressor = json!({"name": "envoy.filters.http.compressor", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
        "compressor_library": {"name": "gzip", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"}}}});
    let plugin = errors_become(
        &json!({"body": {"inline": "sorry"}}),
        &json!({"keepHeaders": "All"}),
    );
    let (envoy, upstream) = start(&plugin, |b| b.http_filter(compressor)).await?;
    let ask = |path| Request::get(path).header("accept-encoding", "gzip");
    let fine = h1::send(envoy.addr(), ask("/status/200?bytes=1000")).await?;
    ensure!(
        fine.header("content-encoding").as_deref() == Some("gzip"),
        "{fine:?}"
    );
    let gzipped = Reply::status(500)
        .header("content-encoding", "gzip")
        .header("etag", "\"x\"")
        .header("vary", "accept-encoding")
        .body(Body::sized([0x1f, 0x8b, 8, 0]));
    upstream.script("/gzipped", [gzipped]);
    for path in ["/status/500?bytes=1000", "/gzipped"] {
        let response = h1::send(envoy.addr(), ask(path)).await?;
        well_formed(false, &response)?;
        ensure!(response.text() == "sorry", "{response:?}");
        for name in ["content-encoding", "etag", "transfer-encoding"] {
            ensure!(
                response.header(name).is_none(),
                "{path} {name}: {response:?}"
            );
        }
    }
    Ok(())
}

/// A body that stays is never gathered: its first bytes are there long before
/// its last.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stays_streams_through() -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(8);
    let plugin = errors_become(
        &json!({"keepBody": true, "header": {"set": [{"name": "x-seen", "value": "yes"}]}}),
        &json!({}),
    );
    let (envoy, upstream) = start(&plugin, |b| b).await?;
    let pieces = [(Duration::ZERO, "first"), (PAUSE, "last")];
    upstream.script("/slow", [Reply::status(500).body(Body::streamed(pieces))]);
    let mut client = raw::Connection::open(envoy.addr()).await?;
    let started = Instant::now();
    client.send("GET /slow HTTP/1.1\r\nhost: h\r\n\r\n").await?;
    let head = client.read_head().await?;
    ensure!(head.header("x-seen").as_deref() == Some("yes"), "{head:?}");
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("first") {
        ensure!(started.elapsed() < PAUSE, "the body was held back: {got:?}");
        got.extend(client.read_within(Duration::from_millis(100)).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_that_break_off() -> Result<()> {
    let broken = |length: bool| {
        let pieces = [
            (Duration::ZERO, "half"),
            (Duration::from_millis(100), "way"),
        ];
        let reply = Reply::status(500).body(Body::streamed(pieces).cut());
        if length {
            reply.header("content-length", "1000")
        } else {
            reply
        }
    };
    let kept = errors_become(&json!({"keepBody": true, "statusCode": 502}), &json!({}));
    let (envoy, upstream) = start(&kept, |b| b).await?;
    for length in [true, false] {
        upstream.script("/cut", [broken(length)]);
        let response = h1::get(envoy.addr(), "/cut").await?;
        ensure!(
            response.status == 502 && response.broken.is_some(),
            "a body that stays breaks off where the original does: {response:?}"
        );
    }
    envoy.assert_vm_alive().await?;
    let sorry = errors_become(&json!({"body": {"inline": "sorry"}}), &json!({}));
    let (envoy, upstream) = start(&sorry, |b| b).await?;
    for length in [true, false] {
        upstream.script("/cut", [broken(length)]);
        let response = h2::get(envoy.addr(), "/cut").await?;
        // In place the client has all it needs, and learns of the reset.
        ensure!(response.text() == "sorry", "{length} {response:?}");
    }
    envoy.assert_vm_alive().await
}

/// Bytes that are no UTF-8, and line breaks that are not meant to be any.
#[tokio::test(flavor = "multi_thread")]
async fn strange_bytes_neither_crash_nor_break_out() -> Result<()> {
    let plugin = errors_become(
        &json!({
            "body": {"inline": "%REQ(x-odd)%|%RESP(x-odd)%"},
            "header": {"set": [{"name": "x-copy", "value": "%REQ(x-odd)%"},
                               {"name": "x-query", "value": "%QUERY_PARAM(q)%"}]}}),
        &json!({"keepHeaders": "All"}),
    );
    let (envoy, upstream) = start(&plugin, |b| b).await?;
    for chunked in [false, true] {
        let body = if chunked {
            Body::chunked(["oops"])
        } else {
            Body::sized("oops")
        };
        let reply = Reply::status(500).header("x-odd", b"b\xe4").body(body);
        upstream.script("/odd", [reply]);
        let request = Request::get("/odd?q=a%0d%0aset-cookie:%20x").header("x-odd", b"a\xa1");
        let response = h1::send(envoy.addr(), request).await?;
        well_formed(false, &response)?;
        ensure!(response.text() == "a\u{fffd}|b\u{fffd}", "{response:?}");
        ensure!(
            response.header_values("x-odd") == [&b"b\xe4"[..]],
            "{response:?}"
        );
        ensure!(
            response.header_values("x-copy") == [&b"a\xa1"[..]],
            "{response:?}"
        );
        ensure!(
            response.header("x-query").as_deref() == Some("a  set-cookie: x"),
            "{response:?}"
        );
        ensure!(response.header("set-cookie").is_none(), "{response:?}");
    }
    envoy.assert_vm_alive().await
}

/// Several cookies stay several, in place and by local reply.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_kept_stay_as_they_were() -> Result<()> {
    let plugin = errors_become(
        &json!({"statusCode": 500, "body": {"inline": "sorry"},
                "header": {"add": [{"name": "set-cookie", "value": "c=3"}]}}),
        &json!({"keepHeaders": ["set-cookie", "location", "access-control-allow-origin"]}),
    );
    let (envoy, upstream) = start(&plugin, |b| b).await?;
    for body in [
        Body::sized("there"),
        Body::chunked(["there"]),
        Body::empty(),
    ] {
        let reply = Reply::status(302)
            .header("set-cookie", "a=1")
            .header("location", "/x")
            .header("set-cookie", "b=2")
            .header("access-control-allow-origin", "*")
            .header("x-secret", "1")
            .body(body);
        upstream.script("/cookies", [reply]);
        let response = h1::get(envoy.addr(), "/cookies").await?;
        let cookies = response.header_values("set-cookie");
        ensure!(cookies == [b"a=1", b"b=2", b"c=3"], "{response:?}");
        ensure!(response.header("location").as_deref() == Some("/x"));
        ensure!(response.header("x-secret").is_none());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_streams_pass_and_grpc_errors_are_grpc() -> Result<()> {
    let upstream = Upstream::start().await?;
    let plugin = policy(&json!([
        {"match": {"grpcStatus": [5]},
         "response": {"grpcStatus": 7, "body": {"inline": "not for you: 100%%"}}},
        {"match": {"requests": [{"path": {"value": "/svc/header"}}]},
         "response": {"keepBody": true, "statusCode": 503,
                      "header": {"set": [{"name": "x-seen", "value": "yes"}]}}},
        {"match": {"statusCodes": [{"type": "Range", "range": {"start": 200, "end": 599}}]},
         "response": {"body": {"inline": "never"}}}]));
    let bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster_h2("backend", upstream.addr())
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    let error = grpc::call(envoy.addr(), "/svc/grpc/5", b"m").await?;
    ensure!(error.grpc_status == Some(7), "{error:?}");
    let stream = grpc::call(envoy.addr(), "/svc/grpc-stream", b"message").await?;
    ensure!(stream.grpc_status == Some(0), "{stream:?}");
    let seen = grpc::call(envoy.addr(), "/svc/header/grpc-stream", b"message").await?;
    ensure!(seen.grpc_status == Some(0), "{seen:?}");
    let request = grpc::request("/svc/header/grpc-stream", b"message");
    let response = h2::send(envoy.addr(), request).await?;
    ensure!(
        response.status == 200 && response.header("x-seen").as_deref() == Some("yes"),
        "{response:?}"
    );
    envoy.assert_vm_alive().await
}

/// A route that answers by itself has nothing to upgrade to. Without `upgrade_configs` Envoy
/// refuses a WebSocket before any filter sees it; with them it is a request like others.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_at_a_route_that_answers_by_itself() -> Result<()> {
    const UPGRADE: &str = "GET /direct HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\n\
                           upgrade: websocket\r\n\r\n";
    let plugin = errors_become(
        &json!({"statusCode": 418, "body": {"inline": "no socket here"}}),
        &json!({}),
    );
    for (accepts, wanted) in [(false, (403, "")), (true, (418, "no socket here"))] {
        let mut bootstrap = Builder::new()
            .plugin(&plugin)
            .route(Route::direct("/direct", 500, "of Envoy"))
            .build()?;
        bootstrap.edit_http("main", |http| {
            if accepts {
                http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
            }
        })?;
        let envoy = Envoy::start(&bootstrap).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client.send(UPGRADE).await?;
        let response = client.read_response().await?;
        println!("{accepts} {response:?}");
        ensure!(response.status == wanted.0, "{accepts}: {response:?}");
        ensure!(response.text() == wanted.1, "{accepts}: {response:?}");
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}
