//! What the module asks of Envoy, call by call, by the planted copy
//! (`filter/module/src/planted/probe.rs`): each does what its name says, on every
//! version of Envoy that is supported.

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::visit;
use btp_tests::client::h2;
use btp_tests::module::{bootstrap, commanded, filter, panics, policies, start};
use btp_tests::{Body, Envoy, Reply, Request, Upstream, field, field_values, repo};
use serde_json::json;

/// What a probe has said in a line.
fn said<'a>(report: &'a str, name: &str) -> Result<&'a str> {
    let line = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    let found = report.lines().find_map(line);
    found.with_context(|| format!("no {name} in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_the_module_asks_is_what_it_says() -> Result<()> {
    let upstream = Upstream::start().await?;
    let filter = filter(&repo::planted_module()?, &policies("p"));
    let mut bootstrap = bootstrap(filter, &upstream)?;
    let metadata = json!({"filter_metadata": {"probe": {
        "text": "t", "number": 1.5, "bool": true, "nested": {"a": "b"},
        "list": ["x", 2, true]}}});
    bootstrap.edit(|config| {
        visit(config, &mut |value| {
            if value["name"] == "all" {
                value["metadata"] = metadata.clone();
            }
        });
    });
    let envoy = Envoy::start(&bootstrap).await?;
    let request = Request::get("/x?y")
        .header("x-many", "1")
        .header("x-many", "2");
    let response = envoy.send(request.header("x-planted", "probe")).await?;
    ensure!(response.status == 203, "{response:?}");
    ensure!(
        field_values(&response.headers, "x-probe") == [b"1", b"2"],
        "{response:?}"
    );
    let report = response.text();
    for (name, value) in [
        (":path", "/x?y"),
        ("x-many 0", "1"),
        ("x-many 1", "2"),
        ("x-many 2", "-"),
        ("all x-many", "2"),
        ("response trailers", "0"),
        ("request.protocol", "HTTP/1.1"),
        ("response.code_details", "-"),
        ("upstream.address", "-"),
        ("xds.cluster_name", "backend"),
        ("xds.route_name", "all"),
        ("upstream.request_attempt_count", "0"),
        ("dynamic text", "-"),
        ("route text", "t"),
        ("route number", "1.5"),
        ("route bool", "true"),
        ("route list", "3"),
        ("route list 0", "x"),
        ("route keys", "bool list nested number text"),
        ("state before", "-"),
        ("state set", "true"),
        ("state after", "kept"),
    ] {
        ensure!(said(&report, name)? == value, "{name}: {report}");
    }
    // Known: what is nested deeper than a list cannot be read, and asking is logged.
    ensure!(said(&report, "route nested")? == "-", "{report}");
    ensure!(said(&report, "all")? == said(&report, "count")?, "{report}");
    ensure!(
        said(&report, "source.address")?.starts_with("127.0.0.1:"),
        "{report}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_can_be_changed_on_their_way() -> Result<()> {
    let (envoy, upstream) = start(&repo::planted_module()?).await?;
    upstream.script(
        "/x",
        [Reply::status(200).body(Body::sized(vec![b'x'; 100_000]))],
    );
    let request = Request::get("/x").header("x-removed", "1");
    let response = envoy.send(request.header("x-planted", "rewrite")).await?;
    ensure!(response.text() == "100000 bytes", "{response:?}");
    for (name, value) in [
        ("x-response", "set"),
        ("x-kept", "kept"),
        ("x-request", "two"),
    ] {
        let found = field(&response.headers, name);
        ensure!(found.as_deref() == Some(value), "{name}: {response:?}");
    }
    let seen = upstream.requests();
    let headers = &seen.first().context("no request")?.headers;
    ensure!(field_values(headers, "x-set") == [b"two"], "{headers:?}");
    ensure!(
        field_values(headers, "x-added") == [b"one", b"two"],
        "{headers:?}"
    );
    for absent in ["x-removed", "x-split", "x-smuggled"] {
        ensure!(field(headers, absent).is_none(), "{absent}: {headers:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_be_held_until_its_body_is_there() -> Result<()> {
    let (envoy, upstream) = start(&repo::planted_module()?).await?;
    // It comes in several pieces.
    let request = Request::post("/x", vec![b'x'; 500_000]).header("x-planted", "hold_body");
    let response = envoy.send(request).await?;
    ensure!(response.status == 200, "{response:?}");
    let seen = upstream.requests();
    let headers = &seen.first().context("no request")?.headers;
    ensure!(
        field(headers, "x-body-size").as_deref() == Some("500000"),
        "{headers:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_can_be_woken_and_reset() -> Result<()> {
    let (envoy, upstream) = start(&repo::planted_module()?).await?;
    ensure!(commanded(&envoy, "resume").await?.status == 200);
    ensure!(upstream.requests().len() == 1);
    ensure!(commanded(&envoy, "reset").await.is_err());
    ensure!(envoy.get("/x").await?.status == 200);
    ensure!(panics(&envoy).await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_is_told_a_status_of_our_own() -> Result<()> {
    let (envoy, _upstream) = start(&repo::planted_module()?).await?;
    let request = Request::post("/x", "").header("content-type", "application/grpc");
    let response = h2::send(envoy.addr(), request.header("x-planted", "grpc")).await?;
    ensure!(response.status == 200, "{response:?}");
    let all = [response.headers.clone(), response.trailers.clone()].concat();
    ensure!(field_values(&all, "grpc-status") == [b"8"], "{response:?}");
    // Known: the body is the message, whatever the headers say.
    ensure!(
        field_values(&all, "grpc-message") == [b"body"],
        "{response:?}"
    );
    Ok(())
}
