//! mdBook, built once under target/tools.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::project::Project;
use crate::sh;

const VERSION: &str = "0.5.4";

/// Makes a site of a copy of the pages.
pub(super) fn build(project: &Project, sources: &Path, site: &Path) -> Result<()> {
    let program = program(project)?;
    let mut mdbook = project.command(&program.to_string_lossy());
    mdbook.arg("build").arg(sources).arg("--dest-dir").arg(site);
    sh::run(&mut mdbook)
}

fn program(project: &Project) -> Result<PathBuf> {
    let root = project
        .target
        .join("tools")
        .join(format!("mdbook-{VERSION}"));
    let program = root
        .join("bin")
        .join(format!("mdbook{}", env::consts::EXE_SUFFIX));
    if !program.is_file() {
        eprintln!("building mdBook {VERSION} (once, two to three minutes)");
        let mut install = project.cargo(["install", "mdbook", "--version", VERSION, "--locked"]);
        // Neither its server nor its watcher.
        install.args(["--no-default-features", "--features", "search"]);
        sh::run(install.arg("--root").arg(&root))?;
    }
    Ok(program)
}
