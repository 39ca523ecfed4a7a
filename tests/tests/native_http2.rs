//! `http2` and `useClientProtocol` on the real Envoy: what the upstream sees,
//! frame by frame.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use btp_tests::client::{h1, h2};
use btp_tests::hostile::frames::{self, flag, kind};
use btp_tests::native::origin::{Http2, accept, before_socket, connection, speak_http2};
use btp_tests::native::{governed, upstreams};
use btp_tests::{Envoy, Request};
use serde_json::{Value, json};

/// For what takes 300ms: Envoy's timers may be a millisecond early.
const AT_LEAST: Duration = Duration::from_millis(290);
/// Windows of a connection, as they begin.
const FIRST_WINDOW: u32 = 65_535;

/// Parameters by name.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

fn settings(payload: &[u8]) -> Vec<(u16, u32)> {
    let pair = |it: &[u8]| {
        let name = u16::from_be_bytes([it[0], it[1]]);
        (name, u32::from_be_bytes([it[2], it[3], it[4], it[5]]))
    };
    payload.chunks_exact(6).map(pair).collect()
}

fn number(payload: &[u8]) -> Result<u32> {
    Ok(u32::from_be_bytes(payload.try_into()?))
}

fn keepalive(settings: &Value) -> Value {
    json!({ "http2": { "connectionKeepalive": settings } })
}

/// A connection of HTTP/2 from this Envoy, with a request on it.
async fn asked(spec: &Value) -> Result<(Http2, Envoy)> {
    let (listener, envoy) = before_socket(spec, speak_http2).await?;
    let stream = connection(&listener, &envoy).await?;
    Ok((Http2::begin(stream).await?, envoy))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_the_settings_of_http2() -> Result<()> {
    let spec = json!({"http2": {"initialStreamWindowSize": "128Ki",
        "initialConnectionWindowSize": "2Mi", "maxConcurrentStreams": 7}});
    let (mut upstream, _envoy) = asked(&spec).await?;
    let found = settings(&upstream.frame_of(kind::SETTINGS).await?.payload);
    ensure!(found.contains(&(MAX_CONCURRENT_STREAMS, 7)), "{found:?}");
    ensure!(
        found.contains(&(INITIAL_WINDOW_SIZE, 128 * 1024)),
        "{found:?}"
    );
    let grown = number(&upstream.frame_of(kind::WINDOW_UPDATE).await?.payload)?;
    ensure!(grown == 2 * 1024 * 1024 - FIRST_WINDOW, "{grown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_protocol_comes_with_envoy_gateways_windows() -> Result<()> {
    let spec = json!({"useClientProtocol": true});
    let (listener, envoy) = before_socket(&spec, |_| {}).await?;
    let address = envoy.addr();
    tokio::spawn(async move { h2::get(address, "/").await });
    let mut upstream = Http2::begin(accept(&listener).await?).await?;
    let found = settings(&upstream.frame_of(kind::SETTINGS).await?.payload);
    ensure!(
        found.contains(&(INITIAL_WINDOW_SIZE, 64 * 1024)),
        "{found:?}"
    );
    let grown = number(&upstream.frame_of(kind::WINDOW_UPDATE).await?.payload)?;
    ensure!(grown == 1024 * 1024 - FIRST_WINDOW, "{grown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_spoken_to_as_the_client_speaks() -> Result<()> {
    for (wanted, expected) in [
        (true, http::Version::HTTP_2),
        (false, http::Version::HTTP_11),
    ] {
        let upstreams = upstreams(1).await?;
        let envoy = governed(&upstreams, &json!({"useClientProtocol": wanted})).await?;
        ensure!(h2::send(envoy.addr(), Request::get("/")).await?.status == 200);
        ensure!(envoy.get("/").await?.status == 200);
        let versions: Vec<_> = upstreams[0]
            .requests()
            .iter()
            .map(|it| it.version)
            .collect();
        ensure!(
            versions == [expected, http::Version::HTTP_11],
            "{versions:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_answers_no_ping_is_closed() -> Result<()> {
    let spec = keepalive(&json!({"interval": "400ms", "timeout": "300ms"}));
    let (mut upstream, _envoy) = asked(&spec).await?;
    let began = Instant::now();
    let first = upstream.frame_of(kind::PING).await?;
    ensure!(began.elapsed() >= AT_LEAST, "{:?}", began.elapsed());
    let mut answer = Vec::new();
    frames::put(&mut answer, kind::PING, flag::ACK, 0, &first.payload);
    upstream.send(&answer).await?;
    upstream.frame_of(kind::PING).await?;
    let asked = Instant::now();
    while upstream.frame().await?.is_some() {}
    ensure!(asked.elapsed() >= AT_LEAST, "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_idle_is_asked_before_it_is_used() -> Result<()> {
    let spec = keepalive(&json!({"idleInterval": "300ms", "timeout": "20s"}));
    let (listener, envoy) = before_socket(&spec, speak_http2).await?;
    let address = envoy.addr();
    let get = move || tokio::spawn(async move { h1::get(address, "/").await });
    let first = get();
    let mut upstream = Http2::begin(accept(&listener).await?).await?;
    for (pause, is_asked) in [(0, false), (400, true)] {
        let request = if pause == 0 {
            None
        } else {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Some(get())
        };
        let mut pinged = false;
        let stream = loop {
            let frame = upstream.frame().await?.context("Envoy has closed")?;
            match frame.kind {
                kind::HEADERS => break frame.stream,
                kind::PING => pinged = true,
                _ => {}
            }
        };
        // The ping may come right behind the request.
        if is_asked && !pinged {
            upstream.frame_of(kind::PING).await?;
        }
        ensure!(is_asked || !pinged, "a ping without need");
        upstream.answer(stream, &[(b":status", b"200")]).await?;
        if let Some(request) = request {
            ensure!(request.await??.status == 200);
        }
    }
    ensure!(first.await??.status == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_message_ends_its_stream_or_its_connection() -> Result<()> {
    for (action, others) in [("TerminateStream", 200), ("TerminateConnection", 502)] {
        let spec = json!({"http2": {"onInvalidMessage": action}});
        let (listener, envoy) = before_socket(&spec, speak_http2).await?;
        let address = envoy.addr();
        let get = |path: &'static str| tokio::spawn(async move { h1::get(address, path).await });
        let first = get("/first");
        let mut upstream = Http2::begin(accept(&listener).await?).await?;
        let bad = upstream.frame_of(kind::HEADERS).await?.stream;
        let second = get("/second");
        let good = upstream.frame_of(kind::HEADERS).await?.stream;
        upstream
            .answer(bad, &[(b":status", b"200"), (b"X-Upper", b"case")])
            .await?;
        // Envoy has closed if this cannot be sent.
        let _ = upstream.answer(good, &[(b":status", b"200")]).await;
        let (first, second) = (first.await??, second.await??);
        ensure!(first.status == 502, "{action}: {}", first.status);
        ensure!(second.status == others, "{action}: {}", second.status);
    }
    Ok(())
}
