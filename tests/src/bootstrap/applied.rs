//! A configuration with what `btp apply` puts into it.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Bootstrap;
use crate::{Build, repo};

impl Bootstrap {
    /// This configuration under a policy, with these options of the command, and
    /// what the command said.
    pub fn applied(&self, policy: &Value, options: &[&str]) -> Result<(Self, String)> {
        self.applied_as(Build::under_test()?, policy, options)
    }

    /// The same with this build of the filter.
    pub fn applied_as(
        &self,
        build: Build,
        policy: &Value,
        options: &[&str],
    ) -> Result<(Self, String)> {
        let folder = tempfile::tempdir()?;
        let write =
            |name: &str, value: &Value| fs::write(folder.path().join(name), value.to_string());
        write("envoy.json", &self.config)?;
        write("policy.json", policy)?;
        let output = Command::new(repo::cli()?)
            .args(["apply", "--bootstrap", "envoy.json", "-f", "policy.json"])
            .args(["-o", "out.json"])
            .args(build.apply_option()?)
            .args(options)
            .current_dir(folder.path())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok((Self::load(folder.path().join("out.json"))?, said))
    }
}
