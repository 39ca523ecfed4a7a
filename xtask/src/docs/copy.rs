//! The copy of the pages that mdBook reads: a page of docs/ lies at the root of it, every
//! other one where it is in the repository, and all links lead to the same as before. Files
//! that pages link to come along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::summary::{self, Chapter};
use super::{files, markdown};

/// What mdBook needs beside the pages.
const SETTINGS: [&str; 2] = ["book.toml", "site.css"];

/// Where pages and files of the repository are on the site.
struct Places {
    /// Pages that are chapters, by path.
    chapters: BTreeMap<String, String>,
    /// Files that are linked to.
    files: BTreeSet<String>,
}

/// Makes the copy anew.
pub(super) fn copy(root: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let pages = to.join("src");
    let chapters = summary::chapters(root)?;
    let mut places = Places::of(root, &chapters);
    let list = files::read(root, summary::PATH)?;
    let list = relink(&list, summary::PATH, "SUMMARY.md", |it| {
        places.of_link(root, it)
    })?;
    write(&pages, "SUMMARY.md", &list)?;
    for chapter in &chapters {
        let (path, text) = page(root, chapter, &chapters)?;
        let place = places.chapters[&chapter.path].clone();
        let text = relink(&text, &path, &place, |it| places.of_link(root, it))?;
        write(&pages, &place, &text)?;
    }
    for path in &places.files {
        let place = pages.join(outside_docs(path));
        fs::create_dir_all(place.parent().unwrap_or(&pages))?;
        fs::copy(root.join(path), place).with_context(|| format!("cannot copy {path}"))?;
    }
    for name in SETTINGS {
        fs::copy(root.join("docs").join(name), to.join(name))
            .with_context(|| format!("cannot copy docs/{name}"))?;
    }
    Ok(())
}

impl Places {
    fn of(root: &Path, chapters: &[Chapter]) -> Places {
        let mut places = BTreeMap::new();
        for Chapter { path, .. } in chapters {
            let page = match root.join(path).is_dir() {
                true => files::join(path, "README.md"),
                false => path.clone(),
            };
            let place = outside_docs(&page).to_owned();
            // A link may name a folder or the page that stands for it.
            places.insert(page, place.clone());
            places.insert(path.clone(), place);
        }
        Places {
            chapters: places,
            files: BTreeSet::new(),
        }
    }

    /// Where a link to `path` leads on the site. Files are noted, so that they are there.
    fn of_link(&mut self, root: &Path, path: &str) -> Result<String> {
        if let Some(place) = self.chapters.get(path) {
            return Ok(place.clone());
        }
        if root.join(path).is_dir() || path.ends_with(".md") {
            bail!("{path} is linked to and must be in {}", summary::PATH);
        }
        self.files.insert(path.to_owned());
        Ok(outside_docs(path).to_owned())
    }
}

/// What is in docs/ is at the root of the site.
fn outside_docs(path: &str) -> &str {
    path.strip_prefix("docs/").unwrap_or(path)
}

/// The path and text of a page in the repository. That of a folder lists what is in it, as
/// repository hosts do.
fn page(root: &Path, chapter: &Chapter, chapters: &[Chapter]) -> Result<(String, String)> {
    let Chapter { title, path } = chapter;
    if !root.join(path).is_dir() {
        return Ok((path.clone(), files::read(root, path)?));
    }
    let readme = files::join(path, "README.md");
    let mut text = match root.join(&readme).exists() {
        true => files::read(root, &readme)?,
        false => format!("# {title}\n"),
    };
    text.push_str(&format!("\nIn the folder `{path}`:\n\n"));
    let inside = |it: &str| it.strip_prefix(path)?.strip_prefix('/').map(str::to_owned);
    let mut folders = Vec::new();
    for Chapter { title, path } in chapters {
        if let Some(name) = inside(path) {
            text.push_str(&format!("- [{title}]({name})\n"));
            folders.push(format!("{path}/"));
        }
    }
    for file in files::below(root, path)? {
        if file != readme && !folders.iter().any(|folder| file.starts_with(folder)) {
            let name = inside(&file).unwrap_or_default();
            text.push_str(&format!("- [`{name}`]({name})\n"));
        }
    }
    Ok((readme, text))
}

/// Has the links of a page in the repository lead to the same from its place on the site.
fn relink(
    text: &str,
    page: &str,
    place: &str,
    mut place_of: impl FnMut(&str) -> Result<String>,
) -> Result<String> {
    let mut result = String::new();
    let mut done = 0;
    let mut links = markdown::read(text).links;
    links.sort_by_key(|link| link.place.clone().map(|it| it.start));
    for link in &links {
        let (path, anchor) = link.parts();
        if link.is_external() || path.is_empty() {
            continue;
        }
        let (line, destination) = (link.line, &link.destination);
        let written = link.place.clone();
        let written = written.with_context(|| {
            format!("{page}:{line}: write it as [text]({destination}) for the site")
        })?;
        let target = files::follow(files::folder(page), path).unwrap_or_default();
        let target = place_of(&target).with_context(|| format!("{page}:{line}: {destination}"))?;
        result.push_str(&text[done..written.start]);
        result.push_str(&files::way(files::folder(place), &target));
        if let Some(anchor) = anchor {
            result.push('#');
            result.push_str(anchor);
        }
        done = written.end;
    }
    result.push_str(&text[done..]);
    Ok(result)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with a page, an example, a folder without a page and settings.
    fn repository() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            (
                "docs/SUMMARY.md",
                "- [A](guides/a.md)\n- [B](../examples/b)\n- [S](schema)\n",
            ),
            (
                "docs/guides/a.md",
                "# A\n[b](../../examples/b/#b) ![c](../c.svg) [here](#a) <https://example.com>\n\
                 [file](../../tests/d.txt) [same](../../examples/b/README.md)\n",
            ),
            ("docs/c.svg", "<svg/>"),
            ("docs/schema/e.json", "{}"),
            ("docs/book.toml", ""),
            ("docs/site.css", ""),
            ("examples/b/README.md", "# B\n[a](../../docs/guides/a.md)\n"),
            ("examples/b/sub/envoy.yaml", "a: b"),
            ("tests/d.txt", "d"),
        ] {
            write(root.path(), path, text).unwrap();
        }
        root
    }

    #[test]
    fn links_lead_to_the_same_on_the_site() {
        let root = repository();
        let to = root.path().join("target/copy");
        copy(root.path(), &to).unwrap();
        let read = |path| files::read(&to.join("src"), path).unwrap();
        assert_eq!(
            read("SUMMARY.md"),
            "- [A](guides/a.md)\n- [B](examples/b/README.md)\n- [S](schema/README.md)\n"
        );
        assert_eq!(
            read("guides/a.md"),
            "# A\n[b](../examples/b/README.md#b) ![c](../c.svg) [here](#a) <https://example.com>\n\
             [file](../tests/d.txt) [same](../examples/b/README.md)\n"
        );
        assert_eq!(
            read("examples/b/README.md"),
            "# B\n[a](../../guides/a.md)\n\nIn the folder `examples/b`:\n\n\
             - [`sub/envoy.yaml`](sub/envoy.yaml)\n"
        );
        assert_eq!(
            read("schema/README.md"),
            "# S\n\nIn the folder `docs/schema`:\n\n- [`e.json`](e.json)\n"
        );
    }

    #[test]
    fn files_that_are_linked_to_come_along() {
        let root = repository();
        let to = root.path().join("target/copy");
        copy(root.path(), &to).unwrap();
        for file in [
            "c.svg",
            "tests/d.txt",
            "schema/e.json",
            "examples/b/sub/envoy.yaml",
        ] {
            assert!(to.join("src").join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn a_page_that_is_not_on_the_site_is_refused() {
        let root = repository();
        write(root.path(), "f.md", "# F\n").unwrap();
        write(
            root.path(),
            "examples/b/README.md",
            "# B\n\n[f](../../f.md)\n",
        )
        .unwrap();
        let error = copy(root.path(), &root.path().join("target/copy")).unwrap_err();
        let said = format!("{error:#}");
        let wanted = "examples/b/README.md:3: ../../f.md: f.md is linked to and must be in";
        assert!(said.starts_with(wanted), "{said}");
    }
}
