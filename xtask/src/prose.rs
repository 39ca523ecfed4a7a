//! The linter of the English that people read: a workspace of its own, as only this should
//! wait for it to be compiled.

use std::path::{self, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::sh;

/// Its workspace.
pub(crate) const MANIFEST: &str = "tests/prose/Cargo.toml";

/// Checks these files, or all that have prose.
pub(crate) fn check(project: &Project, files: &[PathBuf]) -> Result<()> {
    let files: Result<Vec<_>, _> = files.iter().map(path::absolute).collect();
    sh::show(cargo(project, "run").args(["--quiet", "--"]).args(files?))
}

/// Denies all warnings.
pub(crate) fn clippy(project: &Project) -> Result<()> {
    sh::run(cargo(project, "clippy").args(["--all-targets", "--", "-D", "warnings"]))
}

/// Its own tests, and those of the rules.
pub(crate) fn test(project: &Project, filter: Option<&str>) -> Result<()> {
    sh::show(cargo(project, "test").args(filter))
}

fn cargo(project: &Project, command: &str) -> Command {
    let mut cargo = project.cargo([command, "--locked", "--manifest-path", MANIFEST]);
    cargo.arg("--target-dir").arg(project.target.join("prose"));
    cargo
}
