//! What exchanges cost, counted in calls and allocations, against tests/counts.txt.
//!
//! `UPDATE_GOLDEN=1 cargo xtask test exchanges_cost` writes the file anew.

use std::fs;

use anyhow::{Result, ensure};
use btp_tests::{Build, counts, repo};

const FILE: &str = "tests/counts.txt";

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_cost_what_their_counts_say() -> Result<()> {
    let path = repo::path(FILE);
    let known = fs::read_to_string(&path).unwrap_or_default();
    let counted = counts::count().await?;
    let found = counts::file::with_counts(&known, Build::under_test()?, &counted);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, found)?;
        return Ok(());
    }
    ensure!(
        found == known,
        "{FILE} (-) is not what was counted (+):\n{}\n\
         Fewer is better: `UPDATE_GOLDEN=1 cargo xtask test exchanges_cost` writes the file. \
         What costs more than before needs that, too, and its reason in CHANGELOG.md.",
        counts::file::difference(&known, &found)
    );
    Ok(())
}
