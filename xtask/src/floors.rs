//! The programs that the benchmarks compare the filter with: filters that do nothing, one
//! for each build of ours and with its profile, one that makes the hostcalls of the .wasm
//! and nothing else; and valgrind.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::{packages, sh, toolchain};

/// Sees to it that all of it is there, and tells a program where the filters are.
pub(crate) fn provide(project: &Project, command: &mut Command) -> Result<()> {
    packages::need_program(project, "callgrind_control", &["valgrind"])?;
    command
        .env("BTP_NOOP_WASM", wasm(project, "noop")?)
        .env("BTP_REPLAY_WASM", wasm(project, "replay")?)
        .env("BTP_NOOP_MODULE", module(project)?);
    Ok(())
}

fn wasm(project: &Project, name: &str) -> Result<PathBuf> {
    let toolchain = toolchain::prepare(project, toolchain::WASI)?;
    let mut cargo = toolchain.cargo(project, "build");
    sh::run(cargo.args(["--release", "-p", &format!("btp-{name}-wasm")]))?;
    let folder = project.target.join(toolchain::WASI).join("release");
    Ok(folder.join(format!("{name}_filter.wasm")))
}

fn module(project: &Project) -> Result<PathBuf> {
    sh::run(&mut project.cargo(["build", "--profile", "module", "-p", "btp-noop-module"]))?;
    Ok(project.target.join("module").join("libnoop.so"))
}
