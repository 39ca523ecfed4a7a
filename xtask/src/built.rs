//! Building what users take away: the filter, either way, and the command line tool.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::project::Project;
use crate::{commit, files, module, sh, wasm};

/// What `cargo xtask build` makes.
pub(crate) struct Built {
    pub(crate) wasm: PathBuf,
    pub(crate) module: PathBuf,
    pub(crate) cli: PathBuf,
}

/// Builds all of it.
pub(crate) fn build(project: &Project) -> Result<Built> {
    Ok(Built {
        wasm: wasm::filter(project)?,
        module: module::build(project, &module::own_target())?,
        cli: cli(project)?,
    })
}

fn cli(project: &Project) -> Result<PathBuf> {
    let mut cargo = project.cargo(["build", "--profile", "tool", "-p", "btp"]);
    sh::run(cargo.env(commit::VARIABLE, &project.commit))?;
    let linked = project.target.join("tool").join("btp");
    let finished = project.dist("btp");
    if !sh::is_newer(&finished, &[&linked])? {
        files::put(&finished, |path| Ok(fs::copy(&linked, path).map(drop)?))?;
    }
    Ok(finished)
}
