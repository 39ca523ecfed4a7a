//! Building what users take away: the filter and the command line tool.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{exports, sh, toolchain};

/// The file name of the filter.
pub(crate) const FILTER: &str = "backend_traffic_policy.wasm";

/// What `cargo xtask build` makes.
pub(crate) struct Built {
    pub(crate) wasm: PathBuf,
    pub(crate) cli: PathBuf,
}

/// Builds the filter and the command line tool.
pub(crate) fn build(project: &Project) -> Result<Built> {
    Ok(Built {
        wasm: filter(project)?,
        cli: cli(project)?,
    })
}

/// Builds the filter.
pub(crate) fn filter(project: &Project) -> Result<PathBuf> {
    let toolchain = toolchain::prepare(project, toolchain::WASI)?;
    sh::run(
        toolchain
            .cargo(project, "build")
            .args(["--release", "-p", "btp-wasm"]),
    )?;
    let linked = project
        .target
        .join(toolchain::WASI)
        .join("release")
        .join(FILTER);
    let finished = project.dist(FILTER);
    let ourselves = env::current_exe()?;
    if !sh::is_newer(&finished, &[&linked, &ourselves])? {
        let bytes =
            fs::read(&linked).with_context(|| format!("cannot read {}", linked.display()))?;
        let bytes = exports::finish(&bytes)
            .with_context(|| format!("cannot finish {}", linked.display()))?;
        put(&finished, |path| Ok(fs::write(path, &bytes)?))?;
    }
    eprintln!("{}: {}", finished.display(), kib(size(&finished)?));
    Ok(finished)
}

/// The size of a file, in bytes.
pub(crate) fn size(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("no {}", path.display()))?;
    Ok(metadata.len())
}

/// A size for people.
pub(crate) fn kib(bytes: u64) -> String {
    format!("{bytes} bytes ({:.1} KiB)", bytes as f64 / 1024.0)
}

fn cli(project: &Project) -> Result<PathBuf> {
    sh::run(&mut project.cargo(["build", "--profile", "tool", "-p", "btp"]))?;
    let linked = project.target.join("tool").join("btp");
    let finished = project.dist("btp");
    if !sh::is_newer(&finished, &[&linked])? {
        put(&finished, |path| Ok(fs::copy(&linked, path).map(drop)?))?;
    }
    Ok(finished)
}

/// Writes a file under another name first: somebody may be running the old one.
fn put(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    write(&fresh)
        .and_then(|()| Ok(fs::rename(&fresh, path)?))
        .with_context(|| format!("cannot write {}", path.display()))
}
