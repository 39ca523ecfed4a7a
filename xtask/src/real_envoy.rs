//! What runs the built filter in a real Envoy: the demo and the tests.

use std::process::Command;

use anyhow::Result;

use crate::envoy::{self, Envoy};
use crate::project::Project;
use crate::sh;
use crate::wasm::{self, Built};

/// What a program that drives a real Envoy needs.
pub(crate) struct Bench {
    envoy: Envoy,
    built: Built,
}

impl Bench {
    /// Builds the filter and finds the wanted Envoy.
    pub(crate) fn prepare(project: &Project, version: &str) -> Result<Bench> {
        Ok(Bench {
            built: wasm::build(project)?,
            envoy: envoy::find(project, version)?,
        })
    }

    /// The Envoy under test.
    pub(crate) fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// `cargo test -p btp-tests`, to be completed by the caller.
    pub(crate) fn tests(&self, project: &Project) -> Command {
        self.equip(project.cargo(["test", "-p", "btp-tests"]))
    }

    fn equip(&self, mut command: Command) -> Command {
        command
            .env("ENVOY", &self.envoy.path)
            .env("ENVOY_VERSION", &self.envoy.version)
            .env("BTP_WASM", &self.built.wasm)
            .env("BTP_CLI", &self.built.cli);
        command
    }
}

/// Shows the policies at work; serves until Ctrl-C unless `once`.
pub(crate) fn demo(project: &Project, once: bool, example: Option<&str>) -> Result<()> {
    let bench = Bench::prepare(project, envoy::DEFAULT_VERSION)?;
    let mut demo =
        bench.equip(project.cargo(["run", "--quiet", "-p", "btp-tests", "--bin", "demo", "--"]));
    if once {
        demo.arg("--once");
    }
    if let Some(name) = example {
        demo.args(["--example", name]);
    }
    sh::show(&mut demo)
}

/// Measures, and writes tables into the docs from what was measured.
pub(crate) fn bench(project: &Project, what: Option<&str>) -> Result<()> {
    let bench = Bench::prepare(project, envoy::DEFAULT_VERSION)?;
    let binary = what.unwrap_or("bench").replace('-', "_");
    let arguments = [
        "run",
        "--quiet",
        "--profile",
        "tool",
        "-p",
        "btp-tests",
        "--bin",
        &binary,
    ];
    sh::show(&mut bench.equip(project.cargo(arguments)))
}

/// Runs the scenario tables on each release, and writes docs/VERSIONS.md.
pub(crate) fn versions(project: &Project) -> Result<()> {
    for version in envoy::VERSIONS {
        let bench = Bench::prepare(project, version)?;
        let arguments = ["run", "--quiet", "-p", "btp-tests", "--bin", "versions"];
        sh::show(&mut bench.equip(project.cargo(arguments)))?;
    }
    Ok(())
}
