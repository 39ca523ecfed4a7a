//! Which build and which configuration an Envoy has: what built files say of themselves, and
//! what the filter logs when it has loaded a configuration.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_policy::hash::fnv1a;
use btp_tests::{Build, Builder, Envoy, Route, Upstream, repo};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

/// What `btp version` prints as JSON, with these arguments in front.
fn version(arguments: &[&Path]) -> Result<Value> {
    let mut command = Command::new(repo::cli()?);
    let output = command.arg("version").args(arguments);
    let output = output.args(["--format", "json"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What git says; `None` without a repository.
fn head() -> Option<String> {
    let mut git = Command::new("git");
    let output = git.current_dir(repo::root()).args(["rev-parse", "HEAD"]);
    let output = output.output().ok().filter(|it| it.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

#[test]
fn built_files_say_what_they_are_built_of() -> Result<()> {
    let (wasm, module) = (repo::wasm()?, repo::module()?);
    let expected = [
        (version(&[&wasm])?, "backend_traffic_policy", "wasm"),
        (version(&[&module])?, "backend_traffic_policy", "module"),
        (version(&[])?, "btp", "command line"),
    ];
    for (said, name, build) in expected {
        ensure!(said["name"] == name && said["build"] == build, "{said}");
        ensure!(said["version"] == env!("CARGO_PKG_VERSION"), "{said}");
        let commit = said["commit"].as_str().context("no commit")?;
        let short = commit.trim_end_matches("-dirty");
        let is_right = match head() {
            Some(head) => short.len() == 12 && head.starts_with(short),
            None => !commit.is_empty(),
        };
        ensure!(is_right, "{said}: build it with cargo xtask build");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_says_once_what_has_been_loaded() -> Result<()> {
    let upstream = Upstream::start().await?;
    let plugin = json!({"policies": [{"metadata": {"name": "p"}, "spec": {
        "rateLimit": {"local": {"rules": [{"limit": {"requests": 1, "unit": "Hour"}}]}}
    }}]});
    let bootstrap = Builder::new()
        .route(Route::cluster("/", "backend"))
        .cluster("backend", upstream.addr())
        .plugin(&plugin)
        .concurrency(4)
        .build()?;
    let envoy = Envoy::start(&bootstrap).await?;
    ensure!(envoy.get("/").await?.status == 200);
    let line = envoy.wait_for_log("configuration loaded in ", SOON).await?;
    ensure!(line.ends_with(" ms"), "{line}");
    let line = envoy.wait_for_log(", configuration ", SOON).await?;

    let build = Build::under_test()?;
    let file = match build {
        Build::Wasm => repo::wasm()?,
        Build::Module => repo::module()?,
    };
    let said = version(&[&file])?;
    let part = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    let wanted = format!(
        "version {}, commit {}, build {}, configuration {:016x}, 1 policy, position Downstream",
        part("version"),
        part("commit"),
        build.name(),
        fnv1a(0, plugin.to_string().as_bytes()),
    );
    ensure!(line.ends_with(&wanted), "{line}\n{wanted}");
    for once in [wanted.as_str(), "policy default/p: Accepted: everything"] {
        let count = envoy.log().matches(once).count();
        ensure!(count == 1, "{count} times: {once}\n{}", envoy.log());
    }
    Ok(())
}
