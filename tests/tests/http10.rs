//! Clients that speak HTTP/1.0: no chunks, no length, and the end of the
//! connection is the end of the body.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use btp_tests::client::raw::{Connection, RawResponse};
use btp_tests::{Builder, Envoy, Route, Upstream};
use serde_json::{Value, json};

const DELAY: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

/// One policy for each route.
fn policies() -> [(&'static str, Value); 8] {
    let abort = |abort: Value| json!({"faultInjection": {"abort": abort}});
    let buffer = |mode: &str| json!({"requestBuffer": {"limit": 10, "mode": mode}});
    let page = |response: Value| {
        json!({"responseOverride": [
            {"match": {"statusCodes": [{"value": 500}]}, "response": response}]})
    };
    [
        (
            "abort",
            abort(json!({"httpStatus": 503, "body": "aborted"})),
        ),
        ("reset", abort(json!({"reset": true}))),
        (
            "delay",
            json!({"faultInjection": {"delay": {"fixedDelay": "300ms"}}}),
        ),
        (
            "limited",
            json!({"rateLimit": {"local": {"rules": [{"limit": {"requests": 1, "unit": "Hour"}}]}}}),
        ),
        ("gather", buffer("Buffer")),
        ("stream", buffer("Stream")),
        ("page", page(json!({"body": {"inline": "sorry"}}))),
        ("keep", page(json!({"statusCode": 503, "keepBody": true}))),
    ]
}

async fn start() -> Result<(Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let policy = |(name, spec): &(&str, Value)| {
        let mut spec = spec.clone();
        spec["targetRefs"] = json!([
            {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}]);
        json!({"metadata": {"name": name}, "spec": spec})
    };
    let policies = policies();
    let plugin = json!({
        "policies": policies.iter().map(policy).collect::<Vec<_>>(),
        "allowOnHeadersStopIteration": true,
    });
    let mut builder = Builder::new()
        .plugin(&plugin)
        .stop_iteration(true)
        .cluster("backend", upstream.addr());
    for (name, _) in &policies {
        builder = builder.route(Route::cluster(&format!("/{name}/"), "backend").named(name));
    }
    let mut bootstrap = builder.build()?;
    bootstrap.edit_http("main", |http| {
        http["http_protocol_options"] =
            json!({"accept_http_10": true, "default_host_for_http_10": "h"});
    })?;
    Ok((Envoy::start(&bootstrap).await?, upstream))
}

/// Sends a request and reads to the end of the connection, which is that of
/// the response.
async fn ask(envoy: &Envoy, request: &str) -> Result<RawResponse> {
    let mut client = Connection::open(envoy.addr()).await?;
    client.send(request).await?;
    let response = client.read_response().await?;
    ensure!(
        response.status_line.starts_with("HTTP/1.0 "),
        "{response:?}"
    );
    ensure!(
        response.header("transfer-encoding").is_none(),
        "{response:?}"
    );
    let more = client.read_until_closed(PATIENCE).await?;
    ensure!(more.is_empty(), "{response:?}, and then {more:?}");
    Ok(response)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.0\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn faults() -> Result<()> {
    let (envoy, upstream) = start().await?;
    let aborted = ask(&envoy, &get("/abort/")).await?;
    ensure!(
        aborted.status == 503 && aborted.text() == "aborted",
        "{aborted:?}"
    );
    ensure!(upstream.requests().is_empty());

    let mut client = Connection::open(envoy.addr()).await?;
    client.send(get("/reset/")).await?;
    ensure!(client.read_until_closed(PATIENCE).await?.is_empty());

    for (request, body) in [(get("/delay/"), ""), (post("/delay/", "a body"), "a body")] {
        upstream.clear();
        let started = Instant::now();
        let late = ask(&envoy, &request).await?;
        ensure!(late.status == 200 && started.elapsed() >= DELAY, "{late:?}");
        let seen = upstream.requests();
        ensure!(seen.len() == 1 && seen[0].text() == body, "{seen:?}");
        ensure!(seen[0].headers_at >= started + DELAY, "headers came early");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits() -> Result<()> {
    let (envoy, upstream) = start().await?;
    let first = ask(&envoy, &get("/limited/")).await?;
    ensure!(first.status == 200, "{first:?}");
    let refused = ask(&envoy, &post("/limited/", "a body")).await?;
    ensure!(refused.status == 429, "{refused:?}");
    ensure!(upstream.requests().len() == 1);
    envoy.assert_vm_alive().await
}

/// A request of HTTP/1.0 without a length has no body.
#[tokio::test(flavor = "multi_thread")]
async fn bodies() -> Result<()> {
    let (envoy, upstream) = start().await?;
    for mode in ["gather", "stream"] {
        let path = format!("/{mode}/");
        for (request, length, body) in [
            (post(&path, "ten bytes."), "10", "ten bytes."),
            (post(&path, ""), "0", ""),
            (format!("POST {path} HTTP/1.0\r\n\r\n"), "0", ""),
        ] {
            upstream.clear();
            let passed = ask(&envoy, &request).await?;
            ensure!(passed.status == 200, "{mode}: {passed:?}");
            let seen = upstream.requests();
            ensure!(
                seen.len() == 1 && seen[0].text() == body,
                "{mode}: {seen:?}"
            );
            let declared = seen[0].header("content-length");
            ensure!(declared.as_deref() == Some(length), "{mode}: {seen:?}");
        }
        upstream.clear();
        let refused = ask(&envoy, &post(&path, "eleven byte")).await?;
        ensure!(refused.status == 413, "{mode}: {refused:?}");
        ensure!(upstream.requests().is_empty(), "{mode}");
    }
    envoy.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn overrides() -> Result<()> {
    let (envoy, _upstream) = start().await?;
    for shape in ["", "?chunked", "?empty"] {
        let page = ask(&envoy, &get(&format!("/page/status/500{shape}"))).await?;
        ensure!(
            page.status == 500 && page.text() == "sorry",
            "{shape}: {page:?}"
        );
        let head = format!("HEAD /page/status/500{shape} HTTP/1.0\r\n\r\n");
        let mut client = Connection::open(envoy.addr()).await?;
        client.send(head).await?;
        let answer = String::from_utf8(client.read_until_closed(PATIENCE).await?)?;
        ensure!(answer.starts_with("HTTP/1.0 500 "), "{shape}: {answer}");
        ensure!(answer.ends_with("\r\n\r\n"), "{shape}: {answer}");
    }
    for shape in ["", "?chunked"] {
        let kept = ask(&envoy, &get(&format!("/keep/status/500{shape}"))).await?;
        ensure!(kept.status == 503, "{shape}: {kept:?}");
        ensure!(kept.text() == "upstream says 500\n", "{shape}: {kept:?}");
    }
    envoy.assert_vm_alive().await
}

/// A client of HTTP/1.0 may ask to keep the connection; then all responses
/// have a length.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_kept() -> Result<()> {
    let (envoy, _upstream) = start().await?;
    let mut client = Connection::open(envoy.addr()).await?;
    for (request, status, body) in [
        ("GET /abort/", 503, "aborted"),
        ("GET /page/status/500", 500, "sorry"),
        ("GET /delay/", 200, "upstream says 200\n"),
        ("GET /page/status/500?empty", 500, "sorry"),
    ] {
        let head = format!("{request} HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        client.send(head).await?;
        let response = client.read_response().await?;
        ensure!(response.status == status, "{request}: {response:?}");
        ensure!(
            response.header("content-length").is_some(),
            "{request}: {response:?}"
        );
        ensure!(response.text() == body, "{request}: {response:?}");
    }
    envoy.assert_vm_alive().await
}
