//! The filter's configuration in a file of its own (ECDS), for live updates.
//!
//! Envoy watches for the file being *moved* into place, so that is how it is
//! replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::builder::{PLUGIN_NAME, wasm_config};
use crate::build;

/// A discovery file in a directory of its own; gone when dropped.
#[derive(Debug)]
pub struct EcdsFile {
    dir: TempDir,
    stop_iteration: bool,
    version: AtomicU64,
}

impl EcdsFile {
    /// Writes the first version.
    pub fn new(plugin: &Value, stop_iteration: bool) -> Result<Self> {
        Self::edited(plugin, stop_iteration, |_| ())
    }

    /// The same with another `PluginConfig`: other code, say.
    pub fn edited(
        plugin: &Value,
        stop_iteration: bool,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Self> {
        let file = Self {
            stop_iteration,
            ..Self::empty()?
        };
        file.replace_edited(plugin, edit)?;
        Ok(file)
    }

    /// No version yet.
    pub fn empty() -> Result<Self> {
        Ok(Self {
            dir: TempDir::new()?,
            stop_iteration: false,
            version: AtomicU64::new(0),
        })
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("filter.json")
    }

    /// Replaces it by a version with this plugin configuration.
    pub fn replace(&self, plugin: &Value) -> Result<()> {
        self.replace_edited(plugin, |_| ())
    }

    /// Replaces it by a version with this plugin configuration, and anything
    /// else of its `PluginConfig` changed.
    pub fn replace_edited(&self, plugin: &Value, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let mut filter = wasm_config(plugin, self.stop_iteration)?;
        edit(&mut filter["config"]);
        self.replace_filter(filter)
    }

    /// Replaces it by a version with this filter, as Envoy has it for the build under
    /// test.
    pub fn replace_filter(&self, filter: Value) -> Result<()> {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let mut file = json!({
            "version_info": version.to_string(),
            "resources": [{
                "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                "name": PLUGIN_NAME,
                "typed_config": filter,
            }],
        });
        build::adapt(&mut file)?;
        self.replace_text(&file.to_string())
    }

    /// Replaces it by any text, for example a broken one.
    pub fn replace_text(&self, text: &str) -> Result<()> {
        replace_file(&self.path(), text)
    }
}

fn replace_file(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}
