//! What bounds connections and what waits for them, on the real Envoy, and
//! what becomes of tunnels: `bandwidthLimit`, `circuitBreaker`, `connection`, `httpUpgrade`,
//! `compression`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use btp_tests::client::{h1, h2, raw};
use btp_tests::native::origin::{deaf, speak_http2};
use btp_tests::native::{SOON, governed, many, upstreams, wait_for_stat};
use btp_tests::{Body, Builder, Envoy, Reply, Request, Route, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_those_who_wait_for_one_are_bounded() -> Result<()> {
    let upstreams = upstreams(1).await?;
    let spec = json!({"circuitBreaker": {"maxConnections": 1, "maxPendingRequests": 1}});
    let envoy = governed(&upstreams, &spec).await?;
    let address = envoy.addr();
    let get = || tokio::spawn(async move { h1::get(address, "/slow").await });
    upstreams[0].script(
        "/slow",
        many(&Reply::status(200).after(Duration::from_secs(1))),
    );
    let served = get();
    upstreams[0].wait_for_requests(1, SOON).await?;
    let waiting = get();
    let pending = "cluster.backend.upstream_rq_pending_active";
    wait_for_stat(&envoy, pending, |pending| pending == 1).await?;
    let refused = envoy.get("/slow").await?;
    ensure!(refused.status == 503, "{}", refused.status);
    ensure!(refused.header("x-envoy-overloaded").as_deref() == Some("true"));
    ensure!(served.await??.status == 200 && waiting.await??.status == 200);
    let requests = upstreams[0].requests();
    ensure!(requests.iter().all(|it| it.connection == 0), "a second one");
    Ok(())
}

/// An Envoy that has a body for an upstream which reads none of it, and cannot send more.
async fn before_a_deaf_upstream(spec: &Value) -> Result<Envoy> {
    const BODY: usize = 40 << 20;
    let mut bootstrap = Builder::new()
        .cluster("backend", deaf().await?)
        .route(Route::cluster("/", "backend"))
        .build()?;
    // Else it is the client's connection that fills up.
    bootstrap.edit(|config| {
        let listener = &mut config["static_resources"]["listeners"][0];
        listener["per_connection_buffer_limit_bytes"] = 16_384.into();
    });
    bootstrap.govern("backend", spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    let address = envoy.addr();
    let body = Body::sized(vec![b'x'; BODY]);
    tokio::spawn(async move { h1::send(address, Request::new("POST", "/").body(body)).await });
    let paused = "cluster.backend.upstream_flow_control_backed_up_total";
    wait_for_stat(&envoy, paused, |paused| paused > 0).await?;
    Ok(envoy)
}

/// A statistic when nothing moves any more.
async fn settled(envoy: &Envoy, name: &str) -> Result<u64> {
    let mut before = None;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = envoy.stat(name).await?.context("a statistic")?;
        if before == Some(now) {
            return Ok(now);
        }
        before = Some(now);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_keeps_no_more_than_the_buffer_limit() -> Result<()> {
    for (spec, least, most) in [
        // Envoy's own limit is 1 MiB, Envoy Gateway's 32 KiB.
        (json!({}), 900_000, 1_400_000),
        (json!({"connection": {}}), 16_000, 120_000),
        (
            json!({"connection": {"bufferLimit": "256Ki"}}),
            200_000,
            400_000,
        ),
    ] {
        let envoy = before_a_deaf_upstream(&spec).await?;
        let held = settled(&envoy, "cluster.backend.upstream_cx_tx_bytes_buffered").await?;
        ensure!((least..=most).contains(&held), "{spec}: {held}");
    }
    Ok(())
}

/// What has left Envoy is in the two sockets: Linux lets one that is not told otherwise grow
/// to megabytes.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn sockets_keep_no_more_than_their_buffer_limit() -> Result<()> {
    let sent = async |spec: Value| {
        let envoy = before_a_deaf_upstream(&spec).await?;
        settled(&envoy, "cluster.backend.upstream_cx_tx_bytes_total").await
    };
    let free = sent(json!({"connection": {}})).await?;
    let bounded = sent(json!({"connection": {"socketBufferLimit": "16Ki"}})).await?;
    ensure!(bounded * 3 < free, "{bounded} of {free} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_opened_early_at_the_endpoints_that_come_next() -> Result<()> {
    let upstreams = upstreams(3).await?;
    let spec = json!({"loadBalancer": {"type": "RoundRobin"},
        "connection": {"preconnect": {"predictivePercent": 300}}});
    let envoy = governed(&upstreams, &spec).await?;
    let address = envoy.addr();
    let slow = Reply::status(200).after(Duration::from_secs(1));
    upstreams
        .iter()
        .for_each(|it| it.script("/slow", many(&slow)));
    let request = tokio::spawn(async move { h1::get(address, "/slow").await });
    let active = "cluster.backend.upstream_cx_active";
    wait_for_stat(&envoy, active, |active| active == 3).await?;
    ensure!(request.await??.status == 200);
    let asked: usize = upstreams.iter().map(|it| it.requests().len()).sum();
    ensure!(asked == 1, "{asked} requests");
    Ok(())
}

/// What the origin sees of a client that connects to it through Envoy, and
/// what the client hears.
async fn tunnelled(connect: &Value) -> Result<(String, u16)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let connect_route = Route::cluster("/", "backend").edit(|route| {
        route["match"] = json!({"connect_matcher": {}});
    });
    let mut bootstrap = Builder::new()
        .cluster("backend", listener.local_addr()?)
        .route(connect_route)
        .build()?;
    bootstrap.edit(|config| {
        if connect.is_null() {
            speak_http2(&mut config["static_resources"]["clusters"][0]);
        }
    });
    let upgrade = json!({"httpUpgrade": [{"type": "CONNECT", "connect": connect}]});
    bootstrap.govern("backend", &upgrade)?;
    let envoy = Envoy::start(&bootstrap).await?;
    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send(b"CONNECT origin:1 HTTP/1.1\r\nhost: origin:1\r\n\r\n")
        .await?;
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut bytes = vec![0; 4];
        stream.read_exact(&mut bytes).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(&bytes).into_owned())
    });
    if connect.is_null() {
        return Ok((origin.await??, 0));
    }
    let head = client.read_head().await?;
    client.send(b"ping and more").await?;
    Ok((origin.await??, head.status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends_here_if_it_is_told_to() -> Result<()> {
    let ends = tunnelled(&json!({"terminate": true})).await?;
    ensure!(ends == ("ping".to_owned(), 200), "{ends:?}");
    // The request to connect goes on: HTTP/2 begins with its preface.
    let goes_on = tunnelled(&Value::Null).await?;
    ensure!(goes_on == ("PRI ".to_owned(), 0), "{goes_on:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_list_of_compressors_needs_no_settings_object() -> Result<()> {
    for (item, expected) in [
        (json!({"type": "Gzip"}), "gzip"),
        (json!({"type": "Brotli"}), "br"),
        (json!({"type": "Zstd"}), "zstd"),
        (json!({"type": "Gzip", "gzip": {}}), "gzip"),
        (json!({"type": "Brotli", "brotli": {}}), "br"),
        (json!({"type": "Zstd", "zstd": {}}), "zstd"),
    ] {
        let mut item = item;
        item["minContentLength"] = 200.into();
        let upstreams = upstreams(1).await?;
        let envoy = governed(&upstreams, &json!({ "compression": [item] })).await?;
        for (path, expected) in [("/?bytes=400", Some(expected)), ("/?bytes=100", None)] {
            let request = Request::get(path).header("accept-encoding", expected.unwrap_or("gzip"));
            let found = envoy.send(request).await?.header("content-encoding");
            ensure!(found.as_deref() == expected, "{path}: {found:?}");
        }
    }
    Ok(())
}

/// Two clusters: `backend`, which is governed, and `free`.
async fn slowed(spec: &Value) -> Result<(Upstream, Envoy)> {
    let upstream = Upstream::start().await?;
    let mut bootstrap = Builder::new()
        .cluster("free", upstream.addr())
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/free", "free"))
        .route(Route::cluster("/", "backend"))
        .build()?;
    bootstrap.govern("backend", spec)?;
    let envoy = Envoy::start(&bootstrap).await?;
    Ok((upstream, envoy))
}

/// Some replies with this body.
fn few(body: &[u8]) -> impl Iterator<Item = Reply> {
    std::iter::repeat_n(Reply::status(200).body(Body::sized(body.to_vec())), 3)
}

async fn time_of(envoy: &Envoy, request: Request) -> Result<Duration> {
    let begin = Instant::now();
    ensure!(envoy.send(request).await?.status == 200);
    Ok(begin.elapsed())
}

/// 200 KiB at 100 KiB per second; the first second's may go at once.
const SLOW: Duration = Duration::from_millis(900);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_pass_as_slowly_as_they_may() -> Result<()> {
    let body = vec![b'x'; 200 << 10];
    let limit = json!({"limit": {"value": "6000Ki", "unit": "Minute"}});
    for (direction, other) in [("request", "response"), ("response", "request")] {
        let (upstream, envoy) = slowed(&json!({"bandwidthLimit": {direction: limit}})).await?;
        upstream.script("/free", few(&body));
        upstream.script("/", few(&body));
        let request = |path: &str, direction: &str| match direction {
            "request" => Request::new("POST", path).body(Body::sized(body.clone())),
            _ => Request::get(path),
        };
        let slow = time_of(&envoy, request("/slow", direction)).await?;
        let free = time_of(&envoy, request("/free", direction)).await?;
        ensure!(
            slow >= SLOW && free < slow,
            "{direction}: {slow:?}, {free:?}"
        );
        let counted = |direction: &str| format!("btp.http_bandwidth_limit.{direction}_enabled");
        ensure!(
            envoy.stat(&counted(direction)).await? > Some(0),
            "not counted"
        );
        ensure!(envoy.stat(&counted(other)).await?.unwrap_or_default() == 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_say_how_long_a_response_was_held() -> Result<()> {
    let trailers = json!({"prefix": "x-lobby"});
    let spec = json!({"bandwidthLimit": {"response": {
        "limit": {"value": "64Ki", "unit": "Second"}, "responseTrailers": trailers}}});
    let (upstream, envoy) = slowed(&spec).await?;
    let body = vec![b'x'; 128 << 10];
    upstream.script("/", few(&body));
    let response = h2::get(envoy.addr(), "/slow").await?;
    let has = |(name, _): &(String, _)| name.starts_with("x-lobby-bandwidth-response-");
    ensure!(response.trailers.iter().any(has), "{:?}", response.trailers);
    Ok(())
}
