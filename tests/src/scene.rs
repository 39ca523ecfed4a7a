//! The commands of one page, played on a terminal in a folder of their own.
//!
//! `tests/docs-not-run.txt` lists the commands that cannot run in a test, with the reason. For
//! those that run, this is what is done differently from a reader:
//! - `cargo xtask demo` is the demo itself, which has been built, at ports of its own;
//! - ports, and folders that belong to the machine, are others;
//! - the filter is where it was built: `envoy` is a script that puts this path in the place of
//!   the one at which pages have it mounted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::bootstrap::{MOUNTED_MODULE, MOUNTED_WASM};
use crate::client::h1;
use crate::demo::Demo;
use crate::envoy::free_port;
use crate::page::{Page, Step};
use crate::terminal::Terminal;
use crate::{Build, SameNames, repo, wait};

/// Commands that no test can run: page, a text in the command, and why.
const NOT_RUN: &str = include_str!("../docs-not-run.txt");

/// Ports that pages name.
const TRAFFIC: &str = "10000";
const ADMIN: &str = "9901";

/// Those of the backend to try with.
pub const BACKEND: [&str; 2] = ["8080", BACKEND_ADMIN];
/// The latter, which is that of its admin interface.
pub const BACKEND_ADMIN: &str = "9902";

/// A folder, and a terminal in it, for the commands of one page.
pub struct Scene {
    page: Page,
    /// What belongs to this scene alone.
    pub scratch: TempDir,
    /// Below the scratch folder unless a page begins elsewhere.
    pub folder: PathBuf,
    /// Texts of commands that are others here.
    pub instead: Vec<(String, String)>,
    /// Admin interfaces of the Envoys that commands start, the last one first.
    pub admins: Vec<u16>,
    demo: Option<Demo>,
    stats: Option<SameNames>,
    /// Whether `btp` has shown colours.
    pub coloured: bool,
    /// The demo's program.
    program: PathBuf,
}

impl Scene {
    /// Sets it; `program` is the demo.
    pub fn of(page: &str, program: &Path) -> Result<Self> {
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
            program: program.to_owned(),
        })
    }

    /// Puts a copy of a file of the repository, or of a folder, into the folder.
    pub fn copy(&self, from: &str, to: &str) -> Result<()> {
        copy(&repo::path(from), &self.folder.join(to), &self.instead)
    }

    /// Has commands say something else in the place of a text.
    pub fn replace(&mut self, from: &str, to: impl Into<String>) {
        self.instead.push((from.to_owned(), to.into()));
    }

    /// Runs all commands but those of the list.
    pub async fn play(&mut self) -> Result<()> {
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
        let mut command = Command::new(&self.program);
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
        let makes_module = |it: &Step| it.command.contains("--module");
        if build == "module" || self.page.steps.iter().any(makes_module) {
            // READMEs show the names of the .wasm, and a reader is slower than the module,
            // which shows what it has counted a moment later.
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
pub fn other_port() -> Result<u16> {
    loop {
        let port = free_port()?;
        let text = port.to_string();
        let mut named = BACKEND.iter().chain([&TRAFFIC, &ADMIN]);
        if !named.any(|it| text.contains(it)) {
            return Ok(port);
        }
    }
}

/// Copies a file or a folder, with other texts in it.
pub fn copy(from: &Path, to: &Path, instead: &[(String, String)]) -> Result<()> {
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
pub fn not_run() -> Vec<[&'static str; 3]> {
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
