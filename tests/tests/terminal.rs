//! Every command of README.md, the guides and the examples' READMEs runs on a terminal as it
//! is written, and prints what the page shows.
//!
//! `tests/docs-not-run.txt` lists the commands that cannot run in a test, with the reason. For
//! those that run, this is what is done otherwise than a reader does it:
//! - `cargo xtask demo` is the demo itself, which has been built, at ports of its own;
//! - ports, and folders that belong to the machine, are others;
//! - the filter is where it was built: `envoy` is a script that puts this path in the place of
//!   the one at which pages have it mounted.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use btp_tests::bootstrap::{MOUNTED_MODULE, MOUNTED_WASM};
use btp_tests::client::h1;
use btp_tests::demo::Demo;
use btp_tests::envoy::free_port;
use btp_tests::page::{Page, Step};
use btp_tests::terminal::Terminal;
use btp_tests::{Build, SameNames, repo, wait};
use tempfile::TempDir;

/// Commands that no test can run: page, a text in the command, and why.
const NOT_RUN: &str = include_str!("../docs-not-run.txt");

/// Ports that pages name.
const TRAFFIC: &str = "10000";
const ADMIN: &str = "9901";

/// Those of the backend to try with.
const BACKEND: [&str; 2] = ["8080", BACKEND_ADMIN];
const BACKEND_ADMIN: &str = "9902";

/// Where a guide has Envoy's files.
const LIVE: &str = "/etc/envoy/live";

/// A folder, and a terminal in it, for the commands of one page.
struct Scene {
    page: Page,
    scratch: TempDir,
    /// Below the scratch folder unless a page begins elsewhere.
    folder: PathBuf,
    /// Texts of commands that are others here.
    instead: Vec<(String, String)>,
    /// Admin interfaces of the Envoys that commands start, the last one first.
    admins: Vec<u16>,
    demo: Option<Demo>,
    stats: Option<SameNames>,
    /// Whether `btp` has shown colours.
    coloured: bool,
}

impl Scene {
    fn of(page: &str) -> Result<Self> {
        let scratch = TempDir::new()?;
        let bin = scratch.path().join("bin");
        fs::create_dir(&bin)?;
        symlink(repo::cli()?, bin.join("btp"))?;
        let envoy = bin.join("envoy");
        fs::write(&envoy, envoy_with_the_filter_mounted()?)?;
        fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755))?;
        let folder = scratch.path().join("here");
        fs::create_dir(&folder)?;
        let traffic = other_port()?;
        let admin = other_port()?;
        let instead = [(TRAFFIC, traffic), (ADMIN, admin)];
        let instead = instead.map(|(from, to)| (from.to_owned(), to.to_string()));
        Ok(Self {
            page: Page::load(page)?,
            scratch,
            folder,
            instead: instead.into(),
            admins: vec![admin],
            demo: None,
            stats: None,
            coloured: false,
        })
    }

    /// Puts a copy of a file of the repository, or of a folder, into the folder.
    fn copy(&self, from: &str, to: &str) -> Result<()> {
        copy(&repo::path(from), &self.folder.join(to), &self.instead)
    }

    fn replace(&mut self, from: &str, to: impl Into<String>) {
        self.instead.push((from.to_owned(), to.into()));
    }

    /// Runs all commands but those of the list.
    async fn play(&mut self) -> Result<()> {
        let page = self.page.clone();
        let path = format!(
            "{}:{}",
            self.scratch.path().join("bin").display(),
            std::env::var("PATH")?
        );
        let mut terminal = Terminal::open(|shell| {
            shell.current_dir(&self.folder).env("PATH", path);
        })?;
        let mut runs = 0;
        for step in &page.steps {
            if reason_not_to_run(&page.file, &step.command).is_some() {
                continue;
            }
            let done = self.step(&mut terminal, step).await;
            done.with_context(|| format!("{}:{}: $ {}", page.file, step.line, step.command))?;
            runs += 1;
        }
        let listed = page.steps.len() - runs;
        println!("{}: {runs} commands ran, {listed} are listed", page.file);
        Ok(())
    }

    async fn step(&mut self, terminal: &mut Terminal, step: &Step) -> Result<()> {
        if let Some(arguments) = step.command.strip_prefix("cargo xtask demo") {
            return self.start_demo(arguments).await;
        }
        let mut command = step.command.clone();
        for (from, to) in &self.instead {
            command = command.replace(from, to);
        }
        let shown = tokio::task::block_in_place(|| terminal.run(&command))?;
        self.coloured |= shown.coloured && command.starts_with("btp ");
        // It says so by its status where something changes.
        let differs = step.expected.is_none() && command.contains(" --diff") && shown.status == 1;
        if !differs {
            step.check(&shown.text, shown.status)?;
        }
        if command.starts_with("envoy ") && command.ends_with('&') {
            let admin = self.admins.pop().context("one Envoy too many")?;
            wait::until_async("Envoy", Duration::from_secs(60), async || {
                let ready = h1::get(([127, 0, 0, 1], admin).into(), "/ready").await;
                Ok(ready.is_ok_and(|it| it.status == 200).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    async fn start_demo(&mut self, arguments: &str) -> Result<()> {
        self.demo = None;
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        let mut build = Build::under_test()?.name();
        let mut words = arguments.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "--build" => build = words.next().context("no build")?,
                _ => _ = command.arg(word),
            }
        }
        command.env("BTP_BUILD", build);
        let demo = Demo::start(command).await?;
        let mut admin = demo.admin_addr().to_string();
        if build == "module" {
            // READMEs show the names of the .wasm.
            let stats = SameNames::of(demo.admin_addr()).await?;
            admin = stats.addr().to_string();
            self.stats = Some(stats);
        }
        self.instead = vec![
            (format!("localhost:{TRAFFIC}"), demo.addr().to_string()),
            (format!("localhost:{ADMIN}"), admin),
        ];
        self.demo = Some(demo);
        Ok(())
    }
}

/// A free port, in which no port of the pages would be replaced in turn.
fn other_port() -> Result<u16> {
    loop {
        let port = free_port()?;
        let text = port.to_string();
        let mut named = BACKEND.iter().chain([&TRAFFIC, &ADMIN]);
        if !named.any(|it| text.contains(it)) {
            return Ok(port);
        }
    }
}

fn copy(from: &Path, to: &Path, instead: &[(String, String)]) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), instead)?;
        }
        return Ok(());
    }
    let mut text = fs::read_to_string(from)?;
    for (old, new) in instead {
        text = text.replace(old, new);
    }
    Ok(fs::write(to, text)?)
}

/// What is under `envoy` on the path.
fn envoy_with_the_filter_mounted() -> Result<String> {
    let (wasm, module) = (repo::wasm()?, repo::module()?);
    Ok(format!(
        r#"#!/bin/sh
count=$#
before=
while [ $count -gt 0 ]; do
  word=$1
  shift
  if [ "$before" = -c ]; then
    sed -e 's#{MOUNTED_WASM}#{}#' -e 's#{MOUNTED_MODULE}#{}#' "$word" > "$word.mounted.yaml"
    word=$word.mounted.yaml
  fi
  before=$word
  set -- "$@" "$before"
  before=${{before%%.mounted.yaml}}
  count=$((count - 1))
done
exec '{}' --disable-hot-restart "$@"
"#,
        wasm.display(),
        module.display(),
        repo::envoy_binary()?.display()
    ))
}

/// Page, text and reason of each line of the list.
fn not_run() -> Vec<[&'static str; 3]> {
    let lines = NOT_RUN.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| {
        let mut parts = line.split("  ").map(str::trim).filter(|it| !it.is_empty());
        [(); 3].map(|()| parts.next().unwrap_or_default())
    });
    parts.collect()
}

fn reason_not_to_run(page: &str, command: &str) -> Option<&'static str> {
    let list = not_run();
    let mut of_it = list
        .iter()
        .filter(|[of, text, _]| *of == page && command.contains(text));
    of_it.next().map(|[.., reason]| *reason)
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
            None => format!("Scene::of(\"{page}\")"),
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
    let mut scene = Scene::of(&format!("examples/{name}/README.md"))?;
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
    Scene::of("README.md")?.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_in_five_minutes() -> Result<()> {
    let mut scene = Scene::of("docs/guides/five-minutes.md")?;
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
    let mut scene = Scene::of("docs/guides/from-envoy-gateway.md")?;
    scene.copy("examples/apply/bootstrap.yaml", "envoy.yaml")?;
    scene.copy("examples/apply/policy.yaml", "policies.yaml")?;
    scene.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn wasm_or_module() -> Result<()> {
    let mut scene = Scene::of("docs/guides/wasm-or-module.md")?;
    scene.copy("examples/apply/bootstrap.yaml", "envoy.yaml")?;
    scene.copy("examples/apply/policy.yaml", "policies.yaml")?;
    scene.play().await
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet() -> Result<()> {
    Scene::of("docs/guides/fleet.md")?.play().await
}

/// The bootstrap is the page's; the files that it names are a shop's.
#[tokio::test(flavor = "multi_thread")]
async fn delivering_updates() -> Result<()> {
    let mut scene = Scene::of("docs/guides/delivering-updates.md")?;
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
async fn maintenance_page() -> Result<()> {
    example("maintenance-page").await
}

#[tokio::test(flavor = "multi_thread")]
async fn native_fields() -> Result<()> {
    example("native-fields").await
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
async fn slow_clients() -> Result<()> {
    example("slow-clients").await
}
