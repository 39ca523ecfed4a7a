//! Prometheus and its tool for rules, which the tests of envoy/observe run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{packages, sh};

/// Each with the variable that tells a program where it is.
const PROGRAMS: [(&str, &str); 2] = [
    ("prometheus", "BTP_PROMETHEUS"),
    ("promtool", "BTP_PROMTOOL"),
];

/// Makes both ready and tells a program where they are.
pub(crate) fn provide(project: &Project, command: &mut Command) -> Result<()> {
    for (name, variable) in PROGRAMS {
        command.env(variable, program(project, name)?);
    }
    Ok(())
}

/// An installed program, or the one of Debian's package. An installation of the package
/// would start a service and ten other packages, so it is only unpacked under target/.
fn program(project: &Project, name: &str) -> Result<PathBuf> {
    if let Some(program) = sh::which(name) {
        return Ok(program);
    }
    let folder = project.target.join("tools").join("prometheus");
    let program = folder.join("usr/bin").join(name);
    if !program.is_file() {
        fs::create_dir_all(&folder)?;
        packages::unpack("prometheus", &folder, &format!("{name} is missing"))?;
    }
    let there = program.is_file().then_some(program);
    there.with_context(|| format!("Debian's package prometheus has no {name}"))
}
