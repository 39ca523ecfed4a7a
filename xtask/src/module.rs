//! Building the dynamic module, `libbackend_traffic_policy.so`: for Linux only, as
//! Envoy loads modules nowhere else, but on any machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::elf::SharedObject;
use crate::project::Project;
use crate::{commit, files, sh, toolchain, zig};

/// The file name of the module.
pub(crate) const MODULE: &str = "libbackend_traffic_policy.so";

/// The oldest glibc that it loads on: that of Envoy's own binaries.
const GLIBC: &str = "2.31";

/// The callbacks of the oldest Envoy that is supported.
const CALLBACKS: &str = "filter/module/callbacks.txt";

/// What it is built for on this machine.
pub(crate) fn own_target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// Builds it for a target and checks it; into a folder of its own in `dist` if that
/// is another machine's.
pub(crate) fn build(project: &Project, target: &str) -> Result<PathBuf> {
    let linked = link(project, target, "module", &[])?;
    if is_planted(&linked)? {
        bail!("{} obeys commands that are for tests", linked.display());
    }
    let finished = if target == own_target() {
        project.dist(MODULE)
    } else {
        project.dist(target).join(MODULE)
    };
    if !sh::is_newer(&finished, &[&linked])? {
        files::put(&finished, |path| Ok(fs::copy(&linked, path).map(drop)?))?;
    }
    let size = files::kib(files::size(&finished)?);
    eprintln!("{}: {size}", finished.display());
    Ok(finished)
}

/// Builds a copy that panics on command, for the tests: the same sources, profile and
/// linker, and one module more. In a folder of its own, as cargo would put both into
/// the same file.
pub(crate) fn planted(project: &Project) -> Result<PathBuf> {
    let features = ["--features", "planted-panics"];
    let linked = link(project, &own_target(), "planted", &features)?;
    if !is_planted(&linked)? {
        bail!("{} obeys no commands", linked.display());
    }
    Ok(linked)
}

/// `folder` is cargo's, in its target folder.
fn link(project: &Project, target: &str, folder: &str, features: &[&str]) -> Result<PathBuf> {
    toolchain::need_target(project, target)?;
    let folder = project.target.join(folder);
    let mut cargo = project.cargo(["build", "--profile", "module", "-p", "btp-module"]);
    cargo
        .args(["--target", target, "--target-dir"])
        .arg(&folder)
        .args(features)
        .env(commit::VARIABLE, &project.commit)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            toolchain::anonymous_paths(project).join("\x1f"),
        );
    zig::link_with(project, &mut cargo, target, GLIBC)?;
    sh::run(&mut cargo)?;
    let linked = folder.join(target).join("module").join(MODULE);
    check(project, &linked).with_context(|| format!("{} is not sound", linked.display()))?;
    Ok(linked)
}

fn check(project: &Project, module: &Path) -> Result<()> {
    let callbacks = fs::read_to_string(project.root.join(CALLBACKS))?;
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let faults = SharedObject::read(&bytes)?.faults(&callbacks, GLIBC);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// Whether it is the copy for the tests.
fn is_planted(module: &Path) -> Result<bool> {
    const HEADER: &[u8] = b"x-planted";
    let bytes = fs::read(module)?;
    Ok(bytes.windows(HEADER.len()).any(|it| it == HEADER))
}
