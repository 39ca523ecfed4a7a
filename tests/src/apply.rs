//! `btp apply` and `btp lint` run on a test's configuration.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::{Bootstrap, Build, repo};

/// A configuration under these policies (documents of YAML), and the report.
pub fn apply(bootstrap: &Bootstrap, policies: &str) -> Result<(Bootstrap, String)> {
    let folder = folder(bootstrap, policies)?;
    let output = Command::new(repo::cli()?)
        .arg("apply")
        .args(Build::under_test()?.apply_option()?)
        .args(["--bootstrap", BASE])
        .args(["-f", POLICIES, "-o", "out.json"])
        .current_dir(folder.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    let out = Bootstrap::load(folder.path().join("out.json"))?;
    Ok((out, String::from_utf8(output.stdout)?))
}

/// That policies come out the same when they are applied again, and leave nothing behind when
/// `other` policies take their place.
pub fn ensure_undone(bootstrap: &Bootstrap, policies: &str, other: &str) -> Result<()> {
    let (once, _) = apply(bootstrap, policies)?;
    let (twice, _) = apply(&once, policies)?;
    ensure!(once.config() == twice.config(), "not the same again");
    let (undone, _) = apply(&once, other)?;
    let (direct, _) = apply(bootstrap, other)?;
    ensure!(undone.config() == direct.config(), "{}", undone.config());
    Ok(())
}

/// What `btp lint` says of a configuration and these policies.
pub fn lint(bootstrap: &Bootstrap, policies: &str) -> Result<String> {
    let folder = folder(bootstrap, policies)?;
    let output = Command::new(repo::cli()?)
        .args(["lint", "--bootstrap", BASE, POLICIES])
        .current_dir(folder.path())
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{said}");
    Ok(said)
}

const BASE: &str = "envoy.json";
const POLICIES: &str = "policies.yaml";

fn folder(bootstrap: &Bootstrap, policies: &str) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join(BASE), bootstrap.config().to_string())?;
    fs::write(folder.path().join(POLICIES), policies)?;
    Ok(folder)
}
