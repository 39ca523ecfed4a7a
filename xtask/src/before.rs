//! The filter of an earlier commit, for the tests of an upgrade: built from the
//! repository's own history, once.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{sh, wasm};

/// The last commit whose shared data has no format versions.
const COMMIT: &str = "9ac27d82839a6381a546f12f2ddf92e19fabadc9";

/// Builds it if need be (two minutes); where it is. `None` where the history
/// is not to be had: in a shallow clone without its origin, or in no clone.
pub(crate) fn filter(project: &Project) -> Result<Option<PathBuf>> {
    let dir = project.target.join("before");
    let finished = dir.join(COMMIT).with_extension("wasm");
    if finished.is_file() {
        return Ok(Some(finished));
    }
    if !has_commit(project) {
        let deepen = ["fetch", "--quiet", "--unshallow"];
        let deepened = sh::succeeds(project.command("git").args(deepen));
        if !deepened || !has_commit(project) {
            println!("commit {COMMIT} is not in this clone's history");
            return Ok(None);
        }
    }
    let source = dir.join("source");
    if source.is_dir() {
        fs::remove_dir_all(&source)?;
    }
    fs::create_dir_all(&source)?;
    let archive = dir.join("source.tar");
    let tar = archive.to_string_lossy();
    sh::run(project.command("git").args(["archive", "-o", &tar, COMMIT]))?;
    let mut unpack = project.command("tar");
    sh::run(unpack.arg("-xf").arg(&archive).arg("-C").arg(&source))?;
    sh::run(
        project
            .cargo(["xtask", "build", "--wasm"])
            .current_dir(&source)
            .env("CARGO_TARGET_DIR", dir.join("target")),
    )?;
    let built = source.join("dist").join(wasm::FILTER);
    fs::copy(&built, &finished).with_context(|| format!("no {}", built.display()))?;
    // The compiled crates are not needed again.
    fs::remove_dir_all(dir.join("target"))?;
    fs::remove_dir_all(&source)?;
    fs::remove_file(&archive)?;
    Ok(Some(finished))
}

fn has_commit(project: &Project) -> bool {
    let commit = format!("{COMMIT}^{{commit}}");
    sh::succeeds(project.command("git").args(["cat-file", "-e", &commit]))
}
