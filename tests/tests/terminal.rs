//! Every command of README.md, the guides and the examples' READMEs runs on a terminal as it
//! is written, and prints what the page shows (`btp_tests::scene`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use btp_tests::page::Page;
use btp_tests::repo;
use btp_tests::scene::{BACKEND, BACKEND_ADMIN, Scene, copy, not_run, other_port};

/// Where a guide has Envoy's files.
const LIVE: &str = "/etc/envoy/live";

fn scene(page: &str) -> Result<Scene> {
    Scene::of(page, Path::new(env!("CARGO_BIN_EXE_demo")))
}

/// The pages whose commands run.
fn pages() -> Result<Vec<String>> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(repo::path("docs/guides"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        pages.push(format!("docs/guides/{name}"));
    }
    for entry in fs::read_dir(repo::path("examples"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        pages.push(format!("examples/{name}/README.md"));
    }
    pages.sort();
    Ok(pages)
}

/// Each has a test below, and each line of the list is about a command of a page.
#[test]
fn no_page_and_no_command_is_forgotten() -> Result<()> {
    let source = fs::read_to_string(repo::path("tests/tests/terminal.rs"))?;
    for page in pages()? {
        let Page { steps, .. } = Page::load(&page)?;
        let example = page
            .strip_prefix("examples/")
            .and_then(|it| it.strip_suffix("/README.md"));
        let call = match example {
            Some(name) => format!("example(\"{name}\")"),
            None => format!("scene(\"{page}\")"),
        };
        ensure!(
            steps.is_empty() || source.contains(&call),
            "no test runs {page}"
        );
    }
    let mut found = BTreeSet::new();
    for [page, text, reason] in not_run() {
        let commands = Page::load(page)?.steps;
        let is_there = commands.iter().any(|it| it.command.contains(text));
        ensure!(
            is_there,
            "docs-not-run.txt: {page} has no command with {text:?}"
        );
        ensure!(
            !reason.is_empty(),
            "docs-not-run.txt: {page} {text}: no reason"
        );
        ensure!(found.insert((page, text)), "{page} {text} is there twice");
    }
    Ok(())
}

/// Runs the README of an example in a copy of its folder.
async fn example(name: &str) -> Result<()> {
    let mut scene = scene(&format!("examples/{name}/README.md"))?;
    scene.instead.clear();
    scene.copy(&format!("examples/{name}"), ".")?;
    scene.play().await?;
    // What its commands have written is what the repository has.
    let made = fs::read_to_string(scene.folder.join("envoy.yaml"))?;
    let there = fs::read_to_string(repo::path(format!("examples/{name}/envoy.yaml")))?;
    ensure!(
        made == there,
        "examples/{name}/envoy.yaml is not what its README makes"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn readme() -> Result<()> {
    scene("README.md")?.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_in_five_minutes() -> Result<()> {
    let mut scene = scene("docs/guides/five-minutes.md")?;
    // The backend has ports of its own, too.
    let backend = scene.scratch.path().join("upstream.yaml");
    for usual in BACKEND {
        let port = other_port()?;
        scene.replace(usual, port.to_string());
        if usual == BACKEND_ADMIN {
            scene.admins.push(port);
        }
    }
    copy(&repo::path("envoy/upstream.yaml"), &backend, &scene.instead)?;
    scene.replace("$BTP/envoy/upstream.yaml", backend.display().to_string());
    // Its commands begin in a clone.
    let mine = scene.folder.display().to_string();
    scene.replace("~/limited-api", mine);
    scene.folder = repo::path(".");
    scene.play().await?;
    ensure!(scene.coloured, "a finding has no colours");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_envoy_gateway() -> Result<()> {
    let mut scene = scene("docs/guides/from-envoy-gateway.md")?;
    scene.copy("examples/apply/bootstrap.yaml", "envoy.yaml")?;
    scene.copy("examples/apply/policy.yaml", "policies.yaml")?;
    scene.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn wasm_or_module() -> Result<()> {
    let mut scene = scene("docs/guides/wasm-or-module.md")?;
    scene.copy("examples/apply/bootstrap.yaml", "envoy.yaml")?;
    scene.copy("examples/apply/policy.yaml", "policies.yaml")?;
    scene.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet() -> Result<()> {
    scene("docs/guides/fleet.md")?.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn observe() -> Result<()> {
    scene("docs/guides/observe.md")?.play().await
}

/// The bootstrap is the page's; the files that it names are a shop's.
#[tokio::test(flavor = "multi_thread")]
async fn delivering_updates() -> Result<()> {
    let mut scene = scene("docs/guides/delivering-updates.md")?;
    let live = scene.folder.join("live");
    fs::create_dir(&live)?;
    scene.replace(LIVE, live.display().to_string());
    scene.replace(
        "/tmp/flat.yaml",
        scene.folder.join("flat.yaml").display().to_string(),
    );
    scene.copy("tests/terminal/delivering", ".")?;
    let page = fs::read_to_string(repo::path("docs/guides/delivering-updates.md"))?;
    let (_, rest) = page
        .split_once("```yaml\n# envoy.yaml\n")
        .context("no bootstrap")?;
    let (bootstrap, _) = rest.split_once("```").context("no end")?;
    let bootstrap_here = scene.scratch.path().join("envoy.yaml");
    fs::write(&bootstrap_here, bootstrap)?;
    copy(
        &bootstrap_here,
        &scene.folder.join("own/envoy.yaml"),
        &scene.instead,
    )?;
    // Envoy watches files that name the filter, which no script changes on their way.
    let wasm = repo::wasm()?.display().to_string();
    scene.replace("btp apply ", format!("btp apply --wasm {wasm} "));
    scene.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn apply() -> Result<()> {
    example("apply").await
}

#[tokio::test(flavor = "multi_thread")]
async fn branded_error_pages() -> Result<()> {
    example("branded-error-pages").await
}

/// The module, whichever build the other tests run on.
#[tokio::test(flavor = "multi_thread")]
async fn dynamic_module() -> Result<()> {
    example("dynamic-module").await
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_injection() -> Result<()> {
    example("fault-injection").await
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_recipes() -> Result<()> {
    example("fault-recipes").await
}

#[tokio::test(flavor = "multi_thread")]
async fn global_rate_limit() -> Result<()> {
    example("global-rate-limit").await
}

#[tokio::test(flavor = "multi_thread")]
async fn hide_backend_errors() -> Result<()> {
    example("hide-backend-errors").await
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_sets() -> Result<()> {
    example("listener-sets").await
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_page() -> Result<()> {
    example("maintenance-page").await
}

#[tokio::test(flavor = "multi_thread")]
async fn native_fields() -> Result<()> {
    example("native-fields").await
}

#[tokio::test(flavor = "multi_thread")]
async fn overload() -> Result<()> {
    example("overload").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limit() -> Result<()> {
    example("rate-limit").await
}

#[tokio::test(flavor = "multi_thread")]
async fn request_buffer() -> Result<()> {
    example("request-buffer").await
}

#[tokio::test(flavor = "multi_thread")]
async fn response_override() -> Result<()> {
    example("response-override").await
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_budget() -> Result<()> {
    example("retry-budget").await
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_storm() -> Result<()> {
    example("retry-storm").await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions() -> Result<()> {
    example("sessions").await
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients() -> Result<()> {
    example("slow-clients").await
}

#[tokio::test(flavor = "multi_thread")]
async fn tracing() -> Result<()> {
    example("tracing").await
}
