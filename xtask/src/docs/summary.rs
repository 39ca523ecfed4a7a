//! docs/SUMMARY.md: the pages of the site, in their order.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{files, markdown};

/// Where it is.
pub(super) const PATH: &str = "docs/SUMMARY.md";

/// A page of the site.
#[derive(Debug)]
pub(super) struct Chapter {
    /// What it is called in the list.
    pub(super) title: String,
    /// The page in the repository, or a folder: its README, if it has one, with a list of
    /// what else is there.
    pub(super) path: String,
}

/// All pages of the site.
pub(super) fn chapters(root: &Path) -> Result<Vec<Chapter>> {
    let page = markdown::read(&files::read(root, PATH)?);
    let chapters = page.links.into_iter().map(|link| {
        let path = files::follow(files::folder(PATH), &link.destination);
        let path = path.with_context(|| format!("{} is nowhere", link.destination))?;
        Ok(Chapter {
            title: link.text,
            path,
        })
    });
    chapters.collect()
}

/// Checks that the site has each page of docs and each example, once.
pub(super) fn check(root: &Path) -> Result<()> {
    let mut listed = BTreeSet::new();
    for chapter in chapters(root)? {
        if let Some(twice) = listed.replace(chapter.path) {
            bail!("{PATH} has {twice} twice");
        }
    }
    let pages = files::below(root, "docs")?;
    let pages = pages
        .into_iter()
        .filter(|it| it.ends_with(".md") && it != PATH);
    let examples = files::below(root, "examples")?;
    let examples = examples
        .iter()
        .filter_map(|it| it.strip_suffix("/README.md"));
    let all = pages.chain(examples.map(str::to_owned));
    let missing: Vec<String> = all.filter(|it| !listed.contains(it)).collect();
    if !missing.is_empty() {
        bail!("{PATH} lacks {}", missing.join(", "));
    }
    println!("{PATH} has all pages, {}", listed.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check_summary(text: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        for path in ["docs/guides/a.md", "docs/b.md", "examples/c/README.md"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(root.path().join(PATH), text).unwrap();
        let result = check(root.path());
        result.err().map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_page_and_example_is_listed() {
        let list = "[B](b.md)\n\n- [A](guides/a.md)\n";
        assert_eq!(check_summary(list), "docs/SUMMARY.md lacks examples/c");
        let list = format!("{list}- [C](../examples/c)\n");
        assert_eq!(check_summary(&list), "");
        let list = format!("{list}- [A again](guides/a.md)\n");
        assert_eq!(
            check_summary(&list),
            "docs/SUMMARY.md has docs/guides/a.md twice"
        );
    }
}
