//! The documentation pages: checked, and made into a site with search.
//!
//! docs/SUMMARY.md lists the pages of the site in order, and docs/book.toml has mdBook's
//! settings. Pages link to each other and to files by their paths in the repository; mdBook
//! gets a copy in which these links lead to the same place on the site.

mod built;
mod copy;
mod files;
mod links;
mod markdown;
mod mdbook;
mod summary;

use std::path::PathBuf;

use anyhow::Result;

use crate::project::Project;

/// Checks the links of all Markdown of the repository, and that the site has every page.
pub(crate) fn check(project: &Project) -> Result<()> {
    links::check(&project.root)?;
    summary::check(&project.root)
}

/// Builds the site, checks its links and returns its first page.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    check(project)?;
    let sources = project.target.join("docs-src");
    let site = project.target.join("site");
    copy::copy(&project.root, &sources)?;
    mdbook::build(project, &sources, &site)?;
    built::check(&site)?;
    Ok(site.join("index.html"))
}
