//! Limited bodies on the real Envoy: what the upstream sees of them and when,
//! over HTTP/1 and HTTP/2, with trailers, pipelined; upgrades, tunnels and
//! expectations.

use std::time::Duration;

use anyhow::{Result, ensure};
use btp_tests::client::{h1, h2, raw};
use btp_tests::{Body, Bootstrap, Builder, Envoy, Request, Route, Upstream, setup};
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);

async fn start(buffer: &Value, edit: impl FnOnce(Builder) -> Builder) -> Result<(Envoy, Upstream)> {
    setup::start(edit(setup::limiting_bodies(buffer))).await
}

async fn start_http(buffer: &Value, edit: impl FnOnce(&mut Value)) -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let mut config: Bootstrap = setup::limiting_bodies(buffer).backend(&upstream).build()?;
    config.edit_http("main", edit)?;
    Ok((Envoy::start(&config).await?, upstream))
}

/// A body of `size` bytes that is not all the same.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
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

/// A second request follows the first one's body, in the same packet.
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

/// What the upstream has accepted is in buffer_labels.rs.
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
        ensure!(envoy.policy_stat("request_buffer_too_large").await? == 0);

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
            "policy default/p: a client that waits for 100 Continue",
            PATIENCE,
        )
        .await?;
    ensure!(
        envoy
            .policy_stat("request_buffer_expectations_failed")
            .await?
            == 1
    );

    let stream = json!({"limit": 10, "mode": "Stream"});
    let (envoy, _upstream) = start_http(&stream, proxied).await?;
    ensure!(ask(&envoy, 10).await? == 100);
    ensure!(ask(&envoy, 11).await? == 413);
    Ok(())
}

/// Resets of an HTTP/2 stream, before and behind the limit, leave the others
/// on the connection alone.
#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_connection_do_not_disturb_each_other() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let (envoy, upstream) = start(&json!({"limit": 1000, "mode": mode}), |b| b).await?;
        let connection = h2::Connection::open(envoy.addr()).await?;
        let post = |body: Body| connection.send(Request::new("POST", "/").body(body));
        let (fine, cut, large, more) = tokio::join!(
            post(Body::streamed((0..10).map(|_| (50 * MS, vec![b'x'; 100])))),
            post(Body::streamed([(50 * MS, vec![b'x'; 500])]).cut()),
            post(Body::streamed((0..10).map(|_| (20 * MS, vec![b'x'; 200])))),
            post(Body::chunked([vec![b'x'; 1_000]]).trailer("x-trailer", "yes")),
        );
        ensure!(fine?.status == 200, "{mode}");
        ensure!(cut.is_err(), "{mode}");
        if let Ok(large) = large {
            ensure!(large.status == 413, "{mode}: {large:?}");
        }
        ensure!(more?.status == 200, "{mode}");
        ensure!(
            envoy.policy_stat("request_buffer_too_large").await? == 1,
            "{mode}"
        );
        let whole = upstream.requests();
        let whole = whole.iter().filter(|seen| seen.complete_at.is_some());
        ensure!(whole.count() == 2, "{mode}");
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_pass_if_envoy_accepts_them() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let upstream = Upstream::start().await?;
        let connect = Route::cluster("/", "backend").edit(|route| {
            route["match"] = json!({"connect_matcher": {}});
            let upgrade = json!([{"upgrade_type": "CONNECT", "connect_config": {}}]);
            route["route"]["upgrade_configs"] = upgrade;
        });
        let builder = Builder::new()
            .plugin(&setup::body_policy(&json!({"limit": 10, "mode": mode})))
            .stop_iteration(true)
            .route(connect)
            .cluster("backend", upstream.addr());
        let mut config = builder.build()?;
        config.edit_http("main", |http| {
            http["upgrade_configs"] = json!([{"upgrade_type": "CONNECT"}]);
        })?;
        let envoy = Envoy::start(&config).await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        client
            .send("CONNECT backend:80 HTTP/1.1\r\nhost: backend:80\r\n\r\n")
            .await?;
        ensure!(client.read_head().await?.status == 200, "{mode}");
        // More than ten bytes, to the upstream itself.
        client
            .send("GET /through HTTP/1.1\r\nhost: h\r\nx-padding: 0123456789\r\n\r\n")
            .await?;
        ensure!(client.read_response().await?.status == 200, "{mode}");
        ensure!(upstream.requests_under("/through").len() == 1);
        ensure!(envoy.policy_stat("request_buffer_too_large").await? == 0);
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// Request trailers over HTTP/1, which Envoy passes on only where it is told
/// to: the message stays well framed either way, so that the next request on
/// the upstream's connection is what the client sent.
#[tokio::test(flavor = "multi_thread")]
async fn http1_trailers_do_not_break_the_framing() -> Result<()> {
    for (mode, enabled) in [("Buffer", false), ("Buffer", true), ("Stream", true)] {
        let buffer = json!({"limit": 100, "mode": mode});
        let (envoy, upstream) = start_http(&buffer, |http| {
            http["http_protocol_options"] = json!({"enable_trailers": enabled});
        })
        .await?;
        let mut client = raw::Connection::open(envoy.addr()).await?;
        for _ in 0..2 {
            client
                .send(
                    "POST /1 HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
                     5\r\nfirst\r\n0\r\nx-trailer: yes\r\n\r\n\
                     POST /2 HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\n\r\nsecond",
                )
                .await?;
            for _ in 0..2 {
                ensure!(client.read_response().await?.status == 200);
            }
        }
        let seen = upstream.requests();
        let texts: Vec<_> = seen.iter().map(|seen| seen.text()).collect();
        ensure!(texts == ["first", "second", "first", "second"], "{texts:?}");
        ensure!(seen.iter().all(|seen| seen.connection == 0));
        if mode == "Buffer" {
            ensure!(seen[0].header("content-length").as_deref() == Some("5"));
        }
        envoy.assert_vm_alive().await?;
    }
    Ok(())
}

/// The body is complete before the delay is over: it goes on from the timer,
/// and with a length.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_waits_for_a_delay_goes_on_whole() -> Result<()> {
    let upstream = Upstream::start().await?;
    let plugin = json!({
        "policies": [{"metadata": {"name": "p"}, "spec": {
            "requestBuffer": {"limit": "1Mi", "maxTotal": "1Mi"},
            "faultInjection": {"delay": {"fixedDelay": "500ms"}}}}],
        "allowOnHeadersStopIteration": true,
    });
    let builder = Builder::new()
        .plugin(&plugin)
        .stop_iteration(true)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr());
    let envoy = Envoy::start(&builder.build()?).await?;
    let bytes = pattern(500_000);
    for (early, http2) in [(true, false), (true, true), (false, false), (false, true)] {
        upstream.clear();
        let pause = if early { 0 } else { 50 };
        let pieces = bytes
            .chunks(20_000)
            .map(|piece| (pause * MS, piece.to_vec()));
        let request = Request::new("POST", "/").body(Body::streamed(pieces.collect::<Vec<_>>()));
        let started = std::time::Instant::now();
        let response = if http2 {
            h2::send(envoy.addr(), request).await?
        } else {
            h1::send(envoy.addr(), request).await?
        };
        ensure!(response.status == 200, "{response:?}");
        let least = if early { 500 } else { 1_250 };
        let seen = upstream.requests();
        ensure!(seen.len() == 1 && seen[0].body == bytes);
        ensure!(seen[0].headers_at >= started + least * MS, "came early");
        ensure!(seen[0].header("content-length").as_deref() == Some("500000"));
        ensure!(envoy.policy_stat("request_buffer_bytes").await? == 0);
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_trailers_reach_the_upstream() -> Result<()> {
    for mode in ["Buffer", "Stream"] {
        let upstream = Upstream::start().await?;
        let builder = Builder::new()
            .plugin(&setup::body_policy(&json!({"limit": 100, "mode": mode})))
            .stop_iteration(true)
            .route(Route::cluster("/", "backend"))
            .cluster_h2("backend", upstream.addr());
        let envoy = Envoy::start(&builder.build()?).await?;
        let body = Body::chunked(["some", "thing"]).trailer("x-trailer", "yes");
        let response = h2::send(envoy.addr(), Request::new("POST", "/").body(body)).await?;
        ensure!(response.status == 200, "{mode}: {response:?}");
        let seen = &upstream.requests()[0];
        ensure!(seen.text() == "something", "{mode}");
        let trailers = vec![("x-trailer".to_owned(), b"yes".to_vec())];
        ensure!(seen.trailers == trailers, "{mode}: {:?}", seen.trailers);
        let length = (mode == "Buffer").then(|| "9".to_owned());
        ensure!(seen.header("content-length") == length, "{mode}");
    }
    Ok(())
}
