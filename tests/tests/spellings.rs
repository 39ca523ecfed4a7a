//! Spellings of paths, methods and queries: which of them conditions see
//! through, as Envoy comes and as it should be set. The tables of
//! docs/reference/conditions.md are the expectations: each of their rows is walked.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use btp_tests::client::{h2, raw};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Route, Upstream, repo};
use serde_json::{Value, json};

/// Rows of the table below a heading, cell by cell, without backticks.
fn table(heading: &str) -> Result<Vec<Vec<String>>> {
    let page = fs::read_to_string(repo::root().join("docs/reference/conditions.md"))?;
    let (_, section) = page
        .split_once(&format!("\n{heading}\n"))
        .with_context(|| format!("no heading {heading:?}"))?;
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    Ok(rows
        .map(|row| row.trim_matches('|').split('|').map(cell).collect())
        .collect())
}

async fn start(selector: &Value, edit: impl FnOnce(&mut Value)) -> Result<(Envoy, Upstream)> {
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {"rateLimit": {"local": {
        "rules": [{"clientSelectors": [selector], "limit": {"requests": 0, "unit": "Hour"}}]}}}}]});
    let upstream = Upstream::start().await?;
    let mut config: Bootstrap = Builder::new()
        .plugin(&plugin)
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .build()?;
    config.edit_http("main", edit)?;
    Ok((Envoy::start(&config).await?, upstream))
}

/// What the page calls an answer.
fn word(status: u16) -> Result<&'static str> {
    Ok(match status {
        429 => "limited",
        200 => "passes",
        307 => "redirected",
        400 => "refused",
        other => bail!("status {other}"),
    })
}

async fn over_http1(peer: SocketAddr, method: &str, target: &str) -> Result<&'static str> {
    let mut client = raw::Connection::open(peer).await?;
    let request = format!("{method} {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    client.send(request).await?;
    word(client.read_response().await?.status)
}

fn compare(row: &[String], got: &[&str], wrong: &mut Vec<String>) {
    if row[1..] != *got {
        wrong.push(format!("{row:?}: {got:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_seen_through_as_the_page_says() -> Result<()> {
    let normalize = |http: &mut Value| {
        http["normalize_path"] = json!(true);
        http["merge_slashes"] = json!(true);
        http["path_with_escaped_slashes_action"] = json!("UNESCAPE_AND_REDIRECT");
    };
    let exact = json!({"path": {"type": "Exact", "value": "/a/login"}});
    let prefix = json!({"path": {"type": "PathPrefix", "value": "/a/login"}});
    let (bare, _upstream) = start(&exact, |_| {}).await?;
    let (set, _upstream) = start(&exact, normalize).await?;
    let (by_prefix, _upstream) = start(&prefix, normalize).await?;
    let rows = table("## Paths")?;
    ensure!(rows.len() >= 20, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let mut got = Vec::new();
        for envoy in [&bare, &set, &by_prefix] {
            let answer = over_http1(envoy.addr(), "GET", &row[0]).await;
            got.push(answer.with_context(|| row[0].clone())?);
        }
        compare(row, &got, &mut wrong);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    set.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_are_seen_through_as_the_page_says() -> Result<()> {
    let listed = json!({"methods": [{"value": "POST"}]});
    let excepted = json!({"methods": [{"value": "GET", "invert": true}]});
    let (listed, _upstream) = start(&listed, |_| {}).await?;
    let (excepted, _upstream) = start(&excepted, |_| {}).await?;
    let rows = table("## Methods")?;
    ensure!(rows.len() >= 4, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let mut got = vec![over_http1(listed.addr(), &row[0], "/").await?];
        for envoy in [&listed, &excepted] {
            let response = h2::send(envoy.addr(), Request::new(&row[0], "/")).await?;
            got.push(word(response.status)?);
        }
        compare(row, &got, &mut wrong);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    listed.assert_vm_alive().await
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_seen_through_as_the_page_says() -> Result<()> {
    let selector = json!({"queryParams": [{"name": "role", "value": "admin"}]});
    let (envoy, _upstream) = start(&selector, |_| {}).await?;
    let rows = table("## Query parameters")?;
    ensure!(rows.len() >= 6, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let got = over_http1(envoy.addr(), "GET", &format!("/{}", row[0])).await?;
        compare(row, &[got], &mut wrong);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    envoy.assert_vm_alive().await
}
