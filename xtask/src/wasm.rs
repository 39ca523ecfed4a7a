//! Building the filter that runs in Envoy's sandbox, `backend_traffic_policy.wasm`.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{commit, exports, files, sh, toolchain};

/// The file name of the filter.
pub(crate) const FILTER: &str = "backend_traffic_policy.wasm";

/// Builds the filter.
pub(crate) fn filter(project: &Project) -> Result<PathBuf> {
    let toolchain = toolchain::prepare(project, toolchain::WASI)?;
    sh::run(
        toolchain
            .cargo(project, "build")
            .args(["--release", "-p", "btp-wasm"])
            .env(commit::VARIABLE, &project.commit),
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
        let bytes = exports::finish(&bytes, &version(project))
            .with_context(|| format!("cannot finish {}", linked.display()))?;
        files::put(&finished, |path| Ok(fs::write(path, &bytes)?))?;
    }
    eprintln!(
        "{}: {}",
        finished.display(),
        files::kib(files::size(&finished)?)
    );
    Ok(finished)
}

/// What the file says of itself, in the words of the module's (filter/module/src/abi/note.rs).
fn version(project: &Project) -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), &project.commit);
    format!(
        r#"{{"name":"backend_traffic_policy","version":"{version}","commit":"{commit}","build":"wasm"}}"#
    )
}
