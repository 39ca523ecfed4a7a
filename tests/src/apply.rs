//! `btp apply` run on a test's configuration.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::{Bootstrap, repo};

/// A configuration under these policies (documents of YAML), and the report.
pub fn apply(bootstrap: &Bootstrap, policies: &str) -> Result<(Bootstrap, String)> {
    let folder = tempfile::tempdir()?;
    let (base, out) = (
        folder.path().join("envoy.json"),
        folder.path().join("out.json"),
    );
    fs::write(&base, bootstrap.config().to_string())?;
    fs::write(folder.path().join("policies.yaml"), policies)?;
    let wasm = repo::wasm()?.display().to_string();
    let output = Command::new(repo::cli()?)
        .args(["apply", "--wasm", &wasm, "--bootstrap", "envoy.json"])
        .args(["-f", "policies.yaml", "-o", "out.json"])
        .current_dir(folder.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok((Bootstrap::load(out)?, String::from_utf8(output.stdout)?))
}
