//! The harness tested on itself: a stock Envoy without our filter between the
//! scripted clients and the scripted upstream. When one of these fails, look
//! here before you look at the filter.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use btp_tests::client::{grpc, h1, h2, raw};
use btp_tests::readme::Readme;
use btp_tests::scenario::{Report, Table, run_table_against};
use btp_tests::{Body, Builder, Envoy, Reply, Request, Route, Upstream};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// `/h2/` goes to the upstream in HTTP/2, everything else in HTTP/1.
fn plain(upstream: &Upstream) -> Builder {
    Builder::new()
        .cluster("backend", upstream.addr())
        .cluster_h2("backend-h2", upstream.addr())
        .route(Route::direct("/direct/", 418, "teapot").named("direct"))
        .route(Route::cluster("/h2/", "backend-h2"))
        .route(Route::cluster("/", "backend").named("all"))
}

async fn start() -> Result<(Upstream, Envoy)> {
    let upstream = Upstream::start().await?;
    let envoy = Envoy::start(&plain(&upstream).build()?).await?;
    Ok((upstream, envoy))
}

#[tokio::test]
async fn clients_of_every_protocol_get_through() -> Result<()> {
    let (upstream, envoy) = start().await?;

    let response = envoy.get("/a/status/404").await?;
    assert_eq!(
        (response.status, response.version),
        (404, http::Version::HTTP_11)
    );
    assert_eq!(response.text(), "upstream says 404\n");
    assert_eq!(response.header("X-Upstream").as_deref(), Some("yes"));

    let request = Request::post("/a/echo", "hello").header("x-bytes", b"caf\xe9");
    let response = h2::send(envoy.addr(), request).await?;
    assert_eq!(
        (response.status, response.version),
        (200, http::Version::HTTP_2)
    );
    assert_eq!(response.json()?["body"], "hello");

    let mut kept = h1::Connection::open(envoy.addr()).await?;
    for _ in 0..2 {
        assert_eq!(kept.send(Request::get("/kept")).await?.status, 200);
    }
    assert!(!kept.is_closed());

    let seen = upstream.requests();
    let paths: Vec<_> = seen.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(paths, ["/a/status/404", "/a/echo", "/kept", "/kept"]);
    assert_eq!(
        seen[1]
            .headers
            .iter()
            .find(|(n, _)| n == "x-bytes")
            .unwrap()
            .1,
        b"caf\xe9"
    );
    assert_eq!(seen[1].text(), "hello");
    assert_eq!(seen[2].connection, seen[3].connection);
    envoy.assert_vm_alive().await
}

#[tokio::test]
async fn grpc_calls_end_in_headers_or_trailers() -> Result<()> {
    let (_upstream, envoy) = start().await?;

    let reply = grpc::call(envoy.addr(), "/h2/grpc-stream", b"ping").await?;
    assert_eq!((reply.status, reply.grpc_status), (200, Some(0)));
    assert_eq!(reply.messages, [b"ping".to_vec()]);
    assert!(!reply.trailers_only);

    let reply = grpc::call(envoy.addr(), "/h2/grpc/14", b"ping").await?;
    assert_eq!((reply.status, reply.grpc_status), (200, Some(14)));
    assert_eq!(reply.grpc_message.as_deref(), Some("upstream says 14"));
    assert!(reply.trailers_only);

    // Envoy's own reply is a gRPC one too.
    let reply = grpc::call(envoy.addr(), "/direct/x", b"ping").await?;
    assert_eq!((reply.grpc_status, reply.trailers_only), (Some(2), true));
    assert_eq!(reply.grpc_message.as_deref(), Some("teapot"));
    Ok(())
}

#[tokio::test]
async fn the_path_decides_what_the_upstream_replies() -> Result<()> {
    let (upstream, envoy) = start().await?;

    let response = envoy
        .get("/x?bytes=100000&ct=a/b&h=x-note:two%20words")
        .await?;
    assert_eq!(response.body, [b'x'; 100_000]);
    assert_eq!(response.header("content-length").as_deref(), Some("100000"));
    assert_eq!(response.header("content-type").as_deref(), Some("a/b"));
    assert_eq!(response.header("x-note").as_deref(), Some("two words"));

    let response = envoy.get("/x/status/500?chunked").await?;
    assert_eq!(
        (response.status, response.text().as_str()),
        (500, "upstream says 500\n")
    );
    assert_eq!(response.header("content-length"), None);

    let response = envoy.get("/x?empty").await?;
    assert_eq!((response.status, response.body.len()), (200, 0));

    let response = envoy.send(Request::new("HEAD", "/x")).await?;
    assert_eq!(response.header("content-length").as_deref(), Some("18"));
    assert!(response.body.is_empty());

    assert!(envoy.get("/x/status/204").await?.body.is_empty());

    let response = h2::get(envoy.addr(), "/h2/x?trailers").await?;
    assert_eq!(response.trailer("x-trailer").as_deref(), Some("yes"));

    let response = envoy.get("/x?delay=100").await?;
    assert!(
        response.headers_after >= PAUSE,
        "{:?}",
        response.headers_after
    );
    assert_eq!(upstream.requests().len(), 7);
    Ok(())
}

#[tokio::test]
async fn scripts_decide_attempt_by_attempt() -> Result<()> {
    let (upstream, envoy) = start().await?;
    let pieces = || Body::streamed([(Duration::ZERO, "one"), (PAUSE, "two")]);
    upstream.script(
        "/s",
        [
            Reply::reset(),
            Reply::status(201).header("x-k", "2").text("second"),
            Reply::status(200).body(pieces()),
            Reply::status(200)
                .header("content-length", "100")
                .body(pieces().cut()),
        ],
    );

    assert_eq!(envoy.get("/s").await?.status, 503);
    let second = envoy.get("/s").await?;
    assert_eq!((second.status, second.text().as_str()), (201, "second"));
    let third = envoy.get("/s").await?;
    assert_eq!(
        (third.broken.as_deref(), third.text().as_str()),
        (None, "onetwo")
    );
    assert!(
        third.elapsed - third.headers_after >= PAUSE / 2,
        "{third:?}"
    );
    let fourth = envoy.get("/s").await?;
    assert_eq!(
        (fourth.broken.is_some(), fourth.text().as_str()),
        (true, "onetwo")
    );
    assert_eq!(envoy.get("/s").await?.text(), "upstream says 200\n");
    assert_eq!(upstream.requests_under("/s").len(), 5);

    // In HTTP/2 a reset ends the stream, not the connection.
    upstream.script("/h2/r", [Reply::reset()]);
    assert_eq!(envoy.get("/h2/r").await?.status, 503);
    assert_eq!(envoy.get("/h2/r").await?.status, 200);
    let seen = upstream.requests_under("/h2/r");
    assert_eq!(seen[0].connection, seen[1].connection);
    Ok(())
}

#[tokio::test]
async fn an_upstream_may_hang_or_reply_early() -> Result<()> {
    let upstream = Upstream::start().await?;
    let quick = Route::cluster("/hang", "backend").edit(|r| r["route"]["timeout"] = "0.1s".into());
    let bootstrap = Builder::new()
        .cluster("backend", upstream.addr())
        .route(quick)
        .route(Route::cluster("/", "backend"))
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    upstream.script("/hang", [Reply::hang()]);
    upstream.script("/early", [Reply::status(400).text("too soon").early()]);

    assert_eq!(envoy.get("/hang").await?.status, 504);

    let slow = Body::streamed([(Duration::ZERO, "a"), (SOON, "b")]);
    let request = Request::new("POST", "/early").body(slow);
    let started = Instant::now();
    let response = envoy.send(request).await?;
    assert_eq!(
        (response.status, response.text().as_str()),
        (400, "too soon")
    );
    assert!(started.elapsed() < SOON);
    Ok(())
}

#[tokio::test]
async fn slow_bodies_are_recorded_as_they_come() -> Result<()> {
    let (upstream, envoy) = start().await?;
    let body = Body::streamed([(PAUSE, "one"), (PAUSE, "two")]);
    let request = Request::new("POST", "/echo")
        .header("content-length", "6")
        .body(body);
    assert_eq!(envoy.send(request).await?.json()?["body"], "onetwo");

    let seen = upstream.requests().remove(0);
    let (first, last) = (seen.body_at.unwrap(), seen.complete_at.unwrap());
    assert!(first - seen.headers_at >= PAUSE / 2);
    assert!(last - first >= PAUSE / 2);
    assert_eq!(seen.header("content-length").as_deref(), Some("6"));
    Ok(())
}

#[tokio::test]
async fn raw_bytes_reach_envoy_as_they_are() -> Result<()> {
    let (upstream, envoy) = start().await?;

    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send("GET /1?chunked HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    let first = client.read_response().await?;
    assert_eq!(first.status_line, "HTTP/1.1 200 OK");
    assert_eq!(first.text(), "upstream says 200\n");
    assert_eq!(client.read_response().await?.text(), "upstream says 200\n");

    let mut client = raw::Connection::open(envoy.addr()).await?;
    client.send("GARBAGE\r\n\r\n").await?;
    let answer = client.read_until_closed(SOON).await?;
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );

    let mut client = raw::Connection::open(envoy.addr()).await?;
    client
        .send("POST /half HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf")
        .await?;
    upstream.wait_for_requests(3, SOON).await?;
    assert!(
        client
            .read_within(Duration::from_millis(50))
            .await?
            .is_empty()
    );
    client.reset()?;
    let half = btp_tests::wait::until("the upstream to see the reset", SOON, || {
        let seen = upstream.requests().remove(2);
        seen.broken.is_some().then_some(seen)
    });
    let half = half.await?;
    assert_eq!((half.text().as_str(), half.complete_at), ("half", None));
    Ok(())
}

#[tokio::test]
async fn envoy_tells_about_itself() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = plain(&upstream)
        .concurrency(2)
        .buffer_limit(12_345)
        .listener(json!({
            "name": "second",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": []}],
        }))
        .build()?;
    let (one, two) = tokio::try_join!(Envoy::start(&bootstrap), Envoy::start(&bootstrap))?;
    assert_ne!(one.addr(), two.addr());
    assert_eq!(one.listener_addr("main")?, one.addr());
    assert_ne!(one.listener_addr("second")?, one.addr());
    assert!(one.listener_addr("third").is_err());

    one.get("/direct/x").await?;
    assert_eq!(one.stat("http.main.downstream_rq_4xx").await?, Some(1));
    assert_eq!(two.stat("http.main.downstream_rq_4xx").await?, Some(0));
    assert_eq!(one.stat("no.such.stat").await?, None);
    assert_eq!(one.stat("server.concurrency").await?, Some(2));

    one.admin_post("/logging?paths=admin:info").await?;
    assert!(one.admin_get("/no-such-page").await.is_err());
    assert!(one.wait_for_log("no such line", PAUSE).await.is_err());
    assert!(one.admin_get("/config_dump").await?.contains("12345"));
    Ok(())
}

#[tokio::test]
async fn validation_tells_good_from_bad() -> Result<()> {
    let upstream = Upstream::start().await?;
    let good = plain(&upstream).build()?;
    let said = Envoy::validate(&good).await?;
    assert!(said.ok, "{}", said.log);
    assert!(Envoy::fails_to_start(&good).await.is_err());

    let mut bad = good;
    bad.edit_http("main", |http| http["no_such_field"] = 1.into())?;
    let said = Envoy::validate(&bad).await?;
    assert!(
        !said.ok && said.log.contains("no_such_field"),
        "{}",
        said.log
    );
    let log = Envoy::fails_to_start(&bad).await?;
    assert!(log.contains("no_such_field"), "{log}");
    let error = Envoy::start(&bad).await.unwrap_err();
    assert!(error.to_string().contains("no_such_field"), "{error}");
    assert!(bad.edit_http("other", |_| ()).is_err());
    Ok(())
}

#[tokio::test]
async fn tables_run_against_a_serving_envoy() -> Result<()> {
    let (_upstream, envoy) = start().await?;
    let url = format!("http://{}", envoy.addr());
    let rows = |status: u16| {
        json!({"name": "t", "routes": [], "config": {}, "scenarios": [
            {"name": "http1", "request": {"path": "/a/status/503"},
             "expect": {"status": status, "headers": {"x-upstream": "yes", "x-gone": null},
                        "upstreamRequests": 1, "details": "via_upstream"}},
            {"name": "http2", "protocol": "http2",
             "request": {"method": "POST", "path": "/a/echo", "bodyBytes": 3, "headers": [["n", "v"]]},
             "expect": {"bodyContains": "xxx", "maxDelayMs": 10000}},
            {"name": "grpc", "protocol": "grpc", "request": {"path": "/direct/x", "body": "hi"},
             "expect": {"status": 200, "grpcStatus": 2, "body": ""}},
        ]})
    };
    let table: Table = serde_json::from_value(rows(503))?;
    let report = run_table_against(&url, &table).await?;
    assert_eq!(
        report,
        Report {
            rows: 3,
            skipped: 2
        }
    );

    let table: Table = serde_json::from_value(rows(500))?;
    let error = run_table_against(&url, &table)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("row 0 (http1): status: expected 500, got 503"),
        "{error}"
    );
    assert!(
        !error.contains("row 1") && !error.contains("row 2"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn readmes_run_with_curl() -> Result<()> {
    let (_upstream, envoy) = start().await?;
    let here = [("localhost:10000", envoy.addr().to_string())];
    let run = async |text: &str| -> Result<()> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        Readme::load(file.path())?.run(&here).await
    };

    let good =
        "```console\n$ curl -si localhost:10000/direct/x\nHTTP/1.1 418 …\n...\n\nteapot\n```\n";
    run(good).await?;
    let error = run(&good.replace("teapot", "coffee")).await.unwrap_err();
    assert!(error.to_string().contains("- coffee"), "{error}");
    assert!(run("no block").await.is_err());
    Ok(())
}
