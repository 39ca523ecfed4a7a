//! What runs the built filter in a real Envoy: the demo, the tests, measurements
//! and attacks.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::builds::Build;
use crate::built::{self, Built};
use crate::envoy::{self, Envoy};
use crate::project::Project;
use crate::{floors, module, ports, prometheus, sh};

/// What a program that drives a real Envoy needs.
pub(crate) struct TestEnv {
    envoy: Envoy,
    built: Built,
    build: Build,
}

/// What `cargo xtask bench` can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU per request of each capability in each build, beside Envoy's own filters and
    /// what the hostcalls of the .wasm cost alone.
    Cpu,
    /// Instructions per request of the same, by valgrind.
    Instructions,
    /// Latency at half of the load that saturates Envoy.
    Latency,
    /// Memory of Envoy's process and of each worker.
    Memory,
    /// 10,000 policies on 10,000 routes.
    Scale,
    /// Rate limits under overload, for many clients, and of requests in flight.
    Limits,
    /// One, two and three instances of the filter.
    Instances,
    /// Ways to switch retries on, with few and many routes.
    RetryRoutes,
    /// Retry budgets beside Envoy's own (docs/COMPARE.md).
    RetryBudget,
    /// Who is served in a storm, with classes and without (examples/retry-storm).
    LoadShedding,
    /// What the dashboard shows in that storm (docs/guides/observe.md).
    Observe,
}

impl Part {
    /// Whether the program `bench` measures it; others have one of their own.
    fn is_of_bench(self) -> bool {
        !matches!(
            self,
            Self::RetryRoutes | Self::RetryBudget | Self::LoadShedding | Self::Observe
        )
    }

    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |it| it.get_name().to_owned())
    }
}

impl TestEnv {
    /// Builds the filter and finds the wanted Envoy.
    pub(crate) fn prepare(project: &Project, version: &str) -> Result<TestEnv> {
        Ok(TestEnv {
            built: built::build(project)?,
            envoy: envoy::find(project, version)?,
            build: Build::Wasm,
        })
    }

    /// The same with another build of the filter in Envoy.
    pub(crate) fn on(mut self, build: Build) -> TestEnv {
        self.build = build;
        self
    }

    /// The Envoy under test.
    pub(crate) fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// The build of the filter that it gets.
    pub(crate) fn build(&self) -> Build {
        self.build
    }

    /// `cargo test -p btp-tests`, to be completed by the caller.
    pub(crate) fn tests(&self, project: &Project) -> Result<Command> {
        let mut tests = self.with_env(project.cargo(["test", "-p", "btp-tests"]));
        tests.env("BTP_MODULE_PLANTED", module::planted(project)?);
        floors::provide(project, &mut tests)?;
        Ok(tests)
    }

    fn with_env(&self, mut command: Command) -> Command {
        command
            .env("ENVOY", &self.envoy.path)
            .env("ENVOY_VERSION", &self.envoy.version)
            .env("BTP_BUILD", self.build.name())
            .env("BTP_WASM", &self.built.wasm)
            .env("BTP_MODULE", &self.built.module)
            .env("BTP_CLI", &self.built.cli);
        command
    }
}

/// Shows the policies at work; serves until Ctrl-C unless `once`. Then this process has
/// become the demo: a signal to the one is a signal to the other.
pub(crate) fn demo(
    project: &Project,
    build: Build,
    once: bool,
    example: Option<&str>,
) -> Result<()> {
    if build == Build::Module && !cfg!(target_os = "linux") {
        bail!("the dynamic module runs on Linux only; `--build wasm` runs here");
    }
    if !once {
        ports::are_free()?;
    }
    let test_env = TestEnv::prepare(project, envoy::DEFAULT_VERSION)?.on(build);
    let mut demo = test_env.with_env(project.cargo([
        "run",
        "--quiet",
        "-p",
        "btp-tests",
        "--bin",
        "demo",
        "--",
    ]));
    if once {
        demo.arg("--once");
    }
    if let Some(name) = example {
        demo.args(["--example", name]);
    }
    sh::replace_this_by(&mut demo)
}

/// Measures, and writes tables and plots into the docs from what was measured: everything,
/// or these parts of it.
pub(crate) fn bench(project: &Project, parts: &[Part], rounds: Option<u64>) -> Result<()> {
    let test_env = TestEnv::prepare(project, envoy::DEFAULT_VERSION)?;
    let parts = if parts.is_empty() {
        Part::value_variants()
    } else {
        parts
    };
    let (own, others): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|it| it.is_of_bench());
    if !own.is_empty() {
        let mut command = test_env.with_env(tool(project, "bench"));
        floors::provide(project, &mut command)?;
        command.arg("--").args(own.iter().map(|it| it.name()));
        if let Some(rounds) = rounds {
            command.args(["--rounds", &rounds.to_string()]);
        }
        sh::show(&mut command)?;
    }
    for part in others {
        let binary = part.name().replace('-', "_");
        let mut command = test_env.with_env(tool(project, &binary));
        if *part == Part::Observe {
            prometheus::provide(project, &mut command)?;
        }
        sh::show(&mut command)?;
    }
    Ok(())
}

/// Attacks an Envoy for so many minutes, and writes docs/RELIABILITY.md.
pub(crate) fn campaign(project: &Project, minutes: u64, seed: Option<u64>) -> Result<()> {
    let test_env = TestEnv::prepare(project, envoy::DEFAULT_VERSION)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = seed.unwrap_or(now.as_secs());
    let date = sh::read(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?;
    let commit = sh::read(
        project
            .command("git")
            .args(["describe", "--always", "--dirty"]),
    )?;
    let mut campaign = test_env.with_env(tool(project, "campaign"));
    campaign.args(["--", &minutes.to_string(), &seed.to_string()]);
    sh::show(campaign.args([date.trim(), commit.trim()]))
}

/// Writes docs/RELIABILITY.md from the log of an earlier campaign.
pub(crate) fn campaign_page(project: &Project) -> Result<()> {
    sh::show(&mut tool(project, "campaign"))
}

/// A program of the tests, quick enough to be measured or to measure.
fn tool(project: &Project, binary: &str) -> Command {
    let mut command = project.cargo(["run", "--quiet", "--profile", "tool"]);
    command.args(["-p", "btp-tests", "--bin", binary]);
    command
}

/// Runs the scenario tables on each release, or on this one only, and writes
/// docs/VERSIONS.md.
pub(crate) fn versions(project: &Project, release: Option<&str>) -> Result<()> {
    let all = envoy::VERSIONS.iter().copied();
    for version in all.filter(|it| release.is_none_or(|release| release == *it)) {
        let mut test_env = TestEnv::prepare(project, version)?;
        for build in Build::ALL {
            test_env = test_env.on(*build);
            let arguments = ["run", "--quiet", "-p", "btp-tests", "--bin", "versions"];
            sh::show(&mut test_env.with_env(project.cargo(arguments)))?;
        }
    }
    Ok(())
}
