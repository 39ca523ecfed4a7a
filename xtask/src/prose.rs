//! The linter of the English in pages, messages and comments: a workspace of its own, so
//! that no other command waits for it to be compiled.

use std::path::{self, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::sh;

/// Its workspace.
pub(crate) const MANIFEST: &str = "tests/prose/Cargo.toml";

/// What it may be built of.
pub(crate) const DEPENDENCIES: &str = "tests/prose/deny.toml";

/// Checks these files, or all that have prose; of these only what has changed since it was
/// found in order.
pub(crate) fn check(project: &Project, files: &[PathBuf]) -> Result<()> {
    sh::run(&mut cargo(project, "build"))?;
    let folder = folder(project);
    let program = folder.join("debug").join("btp-prose");
    let mut linter = project.command(&program.to_string_lossy());
    linter.arg("--clean").arg(folder.join("clean"));
    let files: Result<Vec<_>, _> = files.iter().map(path::absolute).collect();
    sh::show(linter.args(files?))
}

/// Denies all warnings.
pub(crate) fn clippy(project: &Project) -> Result<()> {
    sh::run(cargo(project, "clippy").args(["--all-targets", "--", "-D", "warnings"]))
}

/// Its own tests, and those of the rules.
pub(crate) fn test(project: &Project) -> Result<()> {
    sh::show(&mut cargo(project, "test"))
}

fn cargo(project: &Project, command: &str) -> Command {
    let mut cargo = project.cargo([command, "--locked", "--manifest-path", MANIFEST]);
    cargo.arg("--target-dir").arg(folder(project));
    cargo
}

fn folder(project: &Project) -> PathBuf {
    project.target.join("prose")
}
