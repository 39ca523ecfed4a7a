//! `btp explain --request` against a real Envoy: what it says of a request is what becomes of
//! that request.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use btp_tests::apply::apply;
use btp_tests::client::h1;
use btp_tests::{Bootstrap, Builder, Envoy, Request, Response, Route, Upstream, repo};
use serde_json::Value;

const POLICY: &str = r#"
kind: BackendTrafficPolicy
metadata: {name: p}
spec:
  faultInjection:
    match: [{path: {value: /faulty}}]
    sampling: {key: Header, name: x-user, seed: 7}
    abort: {httpStatus: 418, percentage: 50}
  rateLimit:
    type: Local
    local:
      rules:
      - name: users
        clientSelectors: [{path: {value: /limited}, headers: [{name: x-user, type: Distinct}]}]
        limit: {requests: 3, unit: Hour}
      - clientSelectors: [{path: {value: /limited/admin}}]
        limit: {requests: 0, unit: Hour}
  requestBuffer:
    limit: 1Ki
    rules: [{match: [{path: {value: /large}}], limit: 4Ki}]
  responseOverride:
  - match:
      statusCodes: [{type: Range, range: {start: 500, end: 599}}]
      requests: [{headers: [{name: x-page, value: "yes"}]}]
    response: {statusCode: 503, contentType: text/html, body: {inline: "<p>Later.</p>"}}
"#;

/// What explain says of a request: the answer of each capability, and its items.
struct Explained(Value);

impl Explained {
    fn of(bootstrap: &Bootstrap, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(
            folder.path().join("envoy.json"),
            bootstrap.config().to_string(),
        )?;
        fs::write(folder.path().join("policy.yaml"), POLICY)?;
        let output = Command::new(repo::cli()?)
            .args(["explain", "--bootstrap", "envoy.json", "policy.yaml"])
            .args(["--format", "json", "--request"])
            .args(arguments)
            .current_dir(folder.path())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {said}");
        let mut report: Value = serde_json::from_slice(&output.stdout)?;
        Ok(Self(report["places"][0]["decisions"].take()))
    }

    fn decision(&self, field: &str) -> Result<&Value> {
        let decisions = self.0.as_array().context("no decisions")?;
        let found = decisions.iter().find(|it| it["field"] == field);
        found.with_context(|| format!("{field}: {}", self.0))
    }

    fn answer(&self, field: &str) -> Result<&str> {
        self.decision(field)?["answer"]
            .as_str()
            .context("no answer")
    }

    /// What is said of an item.
    fn detail(&self, field: &str, item: &str) -> Result<Option<&str>> {
        let items = self.decision(field)?["items"]
            .as_array()
            .context("no items")?;
        let found = items.iter().find(|it| it["item"] == item);
        Ok(found.and_then(|it| it["details"][0].as_str()))
    }
}

async fn start() -> Result<(Bootstrap, Envoy, Upstream)> {
    let upstream = Upstream::start().await?;
    let plain = Builder::new()
        .cluster("backend", upstream.addr())
        .route(Route::cluster("/", "backend").named("all"))
        .build()?;
    let (applied, _) = apply(&plain, POLICY)?;
    Ok((plain, Envoy::start(&applied).await?, upstream))
}

/// Sends a request until it is refused, ten times at most: how many passed, and the last.
async fn until_refused(envoy: &Envoy, request: &Request) -> Result<(usize, Response)> {
    let mut connection = h1::Connection::open(envoy.addr()).await?;
    let mut passed = 0;
    loop {
        let response = connection.send(request.clone()).await?;
        if response.status != 200 || passed == 10 {
            return Ok((passed, response));
        }
        passed += 1;
    }
}

#[tokio::test]
async fn limits_are_as_explained() -> Result<()> {
    let (plain, envoy, _upstream) = start().await?;
    let alice = Request::get("/limited").header("x-user", b"alice");
    let (passed, refused) = until_refused(&envoy, &alice).await?;
    let said = Explained::of(&plain, &["/limited", "-H", "x-user: alice"])?;
    let seen = format!(
        "{passed} such requests in one moment pass, the next one gets {} (btp_rate_limited), by \
         rules[0] users",
        refused.status
    );
    ensure!(
        said.answer("rateLimit.local")? == seen,
        "{}\n{seen}",
        said.0
    );

    // Another user has a bucket of its own; who names none is not counted.
    let (passed, refused) = until_refused(&envoy, &Request::get("/limited")).await?;
    ensure!(passed == 10, "{passed} {refused:?}");
    let said = Explained::of(&plain, &["/limited"])?;
    ensure!(
        said.answer("rateLimit.local")? == "no rule counts it",
        "{}",
        said.0
    );

    let (passed, refused) = until_refused(&envoy, &Request::get("/limited/admin")).await?;
    ensure!(passed == 0, "{refused:?}");
    let said = Explained::of(&plain, &["/limited/admin"])?;
    let seen = format!("gets {} (btp_rate_limited), by rules[1]", refused.status);
    ensure!(
        said.answer("rateLimit.local")? == seen,
        "{}\n{seen}",
        said.0
    );
    Ok(())
}

#[tokio::test]
async fn faults_by_key_are_as_explained() -> Result<()> {
    let (plain, envoy, _upstream) = start().await?;
    let mut seen = [0, 0];
    for number in 0..12 {
        let user = format!("user-{number}");
        let request = Request::get("/faulty").header("x-user", user.as_bytes());
        let status = h1::send(envoy.addr(), request).await?.status;
        let header = format!("x-user: {user}");
        let said = Explained::of(&plain, &["/faulty", "-H", &header])?;
        let wanted = match status {
            418 => "gets 418 (btp_fault_abort)",
            _ => "nothing is injected",
        };
        ensure!(
            said.answer("faultInjection")? == wanted,
            "{user} {status}: {}",
            said.0
        );
        seen[usize::from(status == 418)] += 1;
    }
    ensure!(!seen.contains(&0), "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn overrides_are_as_explained() -> Result<()> {
    let (plain, envoy, _upstream) = start().await?;
    for (page, wanted) in [(true, Some("503, text/html, 13 bytes")), (false, None)] {
        let mut request = Request::get("/x/status/502");
        let mut arguments = vec!["/x/status/502"];
        if page {
            request = request.header("x-page", b"yes");
            arguments.extend(["-H", "x-page: yes"]);
        }
        let said = Explained::of(&plain, &arguments)?;
        let row = said.detail("responseOverride", "500 to 599")?;
        ensure!(row == wanted, "{}", said.0);
        let response = h1::send(envoy.addr(), request).await?;
        let kind = response.header("content-type").unwrap_or_default();
        let seen = format!(
            "{}, {kind}, {} bytes",
            response.status,
            response.text().len()
        );
        match wanted {
            Some(wanted) => ensure!(seen == wanted, "{seen}"),
            None => ensure!(response.status == 502, "{seen}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn bodies_are_as_explained() -> Result<()> {
    let (plain, envoy, _upstream) = start().await?;
    for (path, size, limit) in [
        ("/small", 1024, "1Ki"),
        ("/small", 1025, "1Ki"),
        ("/large", 1025, "4Ki"),
    ] {
        let request = Request::post(path, "x".repeat(size));
        let status = h1::send(envoy.addr(), request).await?.status;
        let wanted = match status {
            200 => "passes, buffered before it is forwarded".to_owned(),
            refused => format!("gets {refused} (btp_body_too_large)"),
        };
        let asked = format!("POST {path}");
        let said = Explained::of(&plain, &[&asked, "--body-size", &size.to_string()])?;
        let answer = said.answer("requestBuffer")?;
        let is_right = answer.contains(&wanted) && answer.ends_with(&format!("limit is {limit}"));
        ensure!(is_right, "{answer}: {status}");
        ensure!(
            (status == 200) == (size == 1024 || path == "/large"),
            "{path} {size}: {status}"
        );
    }
    Ok(())
}
