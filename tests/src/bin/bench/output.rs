//! Where results go: tables into docs/PERFORMANCE.md, plots and raw numbers beside it.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use btp_tests::measure::write_table;
use btp_tests::repo;
use tempfile::TempDir;

use crate::setup::Setup;

const PAGE: &str = "docs/PERFORMANCE.md";
const FOLDER: &str = "docs/performance";

/// A folder with the page in it: the repository, or a copy.
pub(crate) struct Output {
    root: PathBuf,
    /// The copy goes with it.
    _copy: Option<TempDir>,
}

impl Output {
    /// The repository; for a smoke test a copy.
    pub(crate) fn open(setup: &Setup) -> Result<Self> {
        if !setup.is_smoke {
            return Ok(Self {
                root: repo::root(),
                _copy: None,
            });
        }
        let copy = tempfile::tempdir()?;
        fs::create_dir_all(copy.path().join(FOLDER))?;
        fs::copy(repo::path(PAGE), copy.path().join(PAGE))?;
        Ok(Self {
            root: copy.path().to_owned(),
            _copy: Some(copy),
        })
    }

    /// Puts a table in its place on the page, and prints it.
    pub(crate) fn table(&self, name: &str, table: &str) -> Result<()> {
        println!("{table}");
        let page = self.root.join(PAGE);
        write_table(&page.to_string_lossy(), name, table)
    }

    /// Writes a file beside the page.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.root.join(FOLDER).join(name), text)?)
    }
}
