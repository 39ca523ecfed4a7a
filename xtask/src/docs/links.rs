//! Links in Markdown: each leads to a file of the repository that is there, and to a
//! heading of it. Other sites are not asked.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};

use super::files;
use super::markdown::{self, Page};

/// Checks all Markdown of the repository, and says of every broken link where it is.
pub(super) fn check(root: &Path) -> Result<()> {
    let mut pages = BTreeMap::new();
    for path in files::below(root, "")? {
        if path.ends_with(".md") {
            let page = markdown::read(&files::read(root, &path)?);
            pages.insert(path, page);
        }
    }
    let (mut problems, mut count) = (Vec::new(), 0);
    for (path, page) in &pages {
        for link in page.links.iter().filter(|it| !it.is_external()) {
            count += 1;
            if let Some(problem) = problem(root, &pages, path, link.parts()) {
                let (line, destination) = (link.line, &link.destination);
                problems.push(format!("{path}:{line}: {destination}: {problem}"));
            }
        }
    }
    if !problems.is_empty() {
        bail!("broken links:\n{}", problems.join("\n"));
    }
    println!(
        "{count} links in {} pages lead to what is there",
        pages.len()
    );
    Ok(())
}

fn problem(
    root: &Path,
    pages: &BTreeMap<String, Page>,
    page: &str,
    (path, anchor): (&str, Option<&str>),
) -> Option<String> {
    let target = match path {
        "" => page.to_owned(),
        _ => match files::follow(files::folder(page), path) {
            Some(target) => target,
            None => return Some("leads out of the repository".to_owned()),
        },
    };
    if !root.join(&target).exists() {
        return Some(format!("there is no {target}"));
    }
    let anchor = anchor?;
    match pages.get(&target) {
        Some(page) if page.anchors.contains(anchor) => None,
        Some(_) => Some(format!("{target} has no heading of this name")),
        None => Some(format!("{target} is no page with headings")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is wrong with pages and files of these names and texts.
    fn problems(files: &[(&str, &str)]) -> String {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let result = check(root.path());
        result.err().map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn links_to_what_is_there_are_fine() {
        let pages = [
            (
                "README.md",
                "# A\n[b](docs/b.md#two) [c](c) [top](#a) [d](docs/d.csv)",
            ),
            (
                "docs/b.md",
                "# B\n\n## Two\n[a](../README.md#a) [web](https://example.com/no#x)",
            ),
            ("c/e.txt", ""),
            ("docs/d.csv", ""),
        ];
        assert_eq!(problems(&pages), "");
    }

    #[test]
    fn a_file_that_is_missing_is_found() {
        let found = problems(&[("docs/a.md", "# A\n\n![picture](pictures/b.svg)\n")]);
        let wanted = "docs/a.md:3: pictures/b.svg: there is no docs/pictures/b.svg";
        assert_eq!(found, format!("broken links:\n{wanted}"));
    }

    #[test]
    fn a_heading_that_is_missing_is_found() {
        let pages = [
            ("a.md", "# A\n[own](#b) [other](b.md#a) [code](c.rs#L3)"),
            ("b.md", "# B"),
            ("c.rs", ""),
        ];
        let wanted = "broken links:\n\
            a.md:2: #b: a.md has no heading of this name\n\
            a.md:2: b.md#a: b.md has no heading of this name\n\
            a.md:2: c.rs#L3: c.rs is no page with headings";
        assert_eq!(problems(&pages), wanted);
    }

    #[test]
    fn a_way_out_of_the_repository_is_found() {
        let found = problems(&[("a.md", "[up](../b.md) [root](/c.md)")]);
        assert_eq!(
            found.matches("leads out of the repository").count(),
            2,
            "{found}"
        );
    }
}
