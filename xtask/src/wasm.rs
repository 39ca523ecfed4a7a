//! Building the filter that runs in Envoy's sandbox, `backend_traffic_policy.wasm`.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{exports, files, sh, toolchain};

/// The file name of the filter.
pub(crate) const FILTER: &str = "backend_traffic_policy.wasm";

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
        files::put(&finished, |path| Ok(fs::write(path, &bytes)?))?;
    }
    eprintln!(
        "{}: {}",
        finished.display(),
        files::kib(files::size(&finished)?)
    );
    Ok(finished)
}
