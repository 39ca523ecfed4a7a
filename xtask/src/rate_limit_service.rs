//! The rate limit service of the tests: a workspace of its own, and so with steps of its
//! own; and Redis, in which it counts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{packages, sh};

/// Its workspace.
pub(crate) const MANIFEST: &str = "tests/rate-limit-service/Cargo.toml";

const NAME: &str = "rate-limit-service";

/// Makes both ready and tells a program where they are.
pub(crate) fn provide(project: &Project, command: &mut Command) -> Result<()> {
    sh::run(&mut cargo(project, "build"))?;
    command
        .env(
            "BTP_RATE_LIMIT_SERVICE",
            folder(project).join("debug").join(NAME),
        )
        .env("BTP_REDIS_SERVER", redis(project)?);
    Ok(())
}

/// Denies all warnings.
pub(crate) fn clippy(project: &Project) -> Result<()> {
    sh::run(cargo(project, "clippy").args(["--all-targets", "--", "-D", "warnings"]))
}

/// Its own tests.
pub(crate) fn test(project: &Project, filter: Option<&str>) -> Result<()> {
    sh::show(cargo(project, "test").args(filter))
}

fn cargo(project: &Project, command: &str) -> Command {
    let mut cargo = project.cargo([command, "--manifest-path", MANIFEST, "--target-dir"]);
    cargo.arg(folder(project));
    cargo
}

fn folder(project: &Project) -> PathBuf {
    project.target.join(NAME)
}

/// The program of a server. Debian's `redis-server` would start one for the whole machine;
/// `redis-tools` has the same program, which does what its name says.
fn redis(project: &Project) -> Result<PathBuf> {
    const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];
    const SAME: &str = "redis-check-rdb";
    if let Some(program) = SERVERS.into_iter().find_map(sh::which) {
        return Ok(program);
    }
    packages::need_program(project, SAME, &["redis-tools"])?;
    let program = sh::which(SAME).with_context(|| format!("redis-tools has no {SAME}"))?;
    let tools = project.target.join("tools");
    let link = tools.join(SERVERS[0]);
    if !link.is_file() {
        fs::create_dir_all(&tools)?;
        // Of a program that is gone.
        let _ = fs::remove_file(&link);
        symlink(program, &link).with_context(|| format!("cannot write {}", link.display()))?;
    }
    Ok(link)
}
