//! docs/VERSIONS.md is what its generator makes of the runs that are kept.

use std::collections::BTreeSet;
use std::fs;

use btp_tests::{repo, versions};

#[test]
fn the_page_is_made_of_the_runs() -> anyhow::Result<()> {
    let page = fs::read_to_string(repo::path(versions::PAGE))?;
    let made = versions::page(&versions::kept()?);
    assert!(
        page == made,
        "run `cargo xtask versions`; it makes:\n{made}"
    );
    Ok(())
}

#[test]
fn the_page_has_all_tables() -> anyhow::Result<()> {
    let mut tables = BTreeSet::new();
    for entry in fs::read_dir(repo::path("tests/scenarios"))? {
        let file = entry?.path();
        tables.extend(
            file.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    let shown: BTreeSet<String> = versions::TABLES.iter().map(ToString::to_string).collect();
    assert_eq!(tables, shown);
    Ok(())
}
