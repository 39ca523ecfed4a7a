//! docs/VERSIONS.md is what its generator makes of the runs that are kept.

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
