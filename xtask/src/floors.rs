//! Filters that do nothing, one for each build of ours and with its profile: the
//! benchmarks compare with them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::{sh, toolchain};

/// Builds both and tells a program where they are.
pub(crate) fn provide(project: &Project, command: &mut Command) -> Result<()> {
    command
        .env("BTP_NOOP_WASM", wasm(project)?)
        .env("BTP_NOOP_MODULE", module(project)?);
    Ok(())
}

fn wasm(project: &Project) -> Result<PathBuf> {
    let toolchain = toolchain::prepare(project, toolchain::WASI)?;
    let mut cargo = toolchain.cargo(project, "build");
    sh::run(cargo.args(["--release", "-p", "btp-noop-wasm"]))?;
    let folder = project.target.join(toolchain::WASI).join("release");
    Ok(folder.join("noop_filter.wasm"))
}

fn module(project: &Project) -> Result<PathBuf> {
    sh::run(&mut project.cargo(["build", "--profile", "module", "-p", "btp-noop-module"]))?;
    Ok(project.target.join("module").join("libnoop.so"))
}
