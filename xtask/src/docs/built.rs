//! The site as it was built: each link leads to a file of it, and to an element there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};

use super::files;

/// What one page links to, and which names its elements have.
#[derive(Default)]
struct Page {
    links: BTreeSet<String>,
    ids: BTreeSet<String>,
}

/// Checks all pages of a site.
pub(super) fn check(site: &Path) -> Result<()> {
    let files: BTreeSet<String> = files::below(site, "")?.into_iter().collect();
    let mut pages = BTreeMap::new();
    for path in files.iter().filter(|path| path.ends_with(".html")) {
        pages.insert(path.as_str(), read(&files::read(site, path)?));
    }
    let (mut problems, mut count) = (Vec::new(), 0);
    for (path, page) in &pages {
        for link in page.links.iter().filter(|it| !it.contains(':')) {
            count += 1;
            let (to, id) = link.split_once('#').unwrap_or((link, ""));
            let target = match to {
                "" => Some((*path).to_owned()),
                _ => files::follow(files::folder(path), to),
            };
            let target = target.filter(|it| files.contains(it));
            let there = target.is_some_and(|target| {
                let page = pages.get(target.as_str());
                id.is_empty() || page.is_some_and(|page| page.ids.contains(id))
            });
            if !there {
                problems.push(format!("{path}: {link}"));
            }
        }
    }
    if !problems.is_empty() {
        bail!("broken links of the site:\n{}", problems.join("\n"));
    }
    println!(
        "{count} links in {} pages of the site lead to what is there",
        pages.len()
    );
    Ok(())
}

/// Looks into the tags of a page as mdBook writes it.
fn read(html: &str) -> Page {
    let mut page = Page::default();
    for part in html.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        page.links.extend(value(tag, "href"));
        page.links.extend(value(tag, "src"));
        page.ids.extend(value(tag, "id"));
    }
    page
}

fn value(tag: &str, attribute: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {attribute}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn problems(index: &str) -> String {
        let site = tempfile::tempdir().unwrap();
        fs::create_dir(site.path().join("guides")).unwrap();
        let page = r##"<h1 id="a">A</h1><a href="../index.html">up</a><a href="#a">A</a>"##;
        fs::write(site.path().join("guides/a.html"), page).unwrap();
        fs::write(site.path().join("b.svg"), "").unwrap();
        fs::write(site.path().join("index.html"), index).unwrap();
        let result = check(site.path());
        result.err().map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn links_to_what_is_there_are_fine() {
        let page = r#"<a href="guides/a.html#a">A</a> <img src="b.svg" alt="">
            <code>&lt;a href="no.html"&gt;</code> <a class="x" href="https://example.com/">x</a>"#;
        assert_eq!(problems(page), "");
    }

    #[test]
    fn broken_links_are_found() {
        let page = r##"<a href="guides/b.html">B</a> <a href="guides/a.html#b">b</a>
            <img src="guides/b.svg"> <a href="#c">c</a> <a href="guides">no page</a>"##;
        let wanted = "broken links of the site:\nindex.html: #c\nindex.html: guides\n\
            index.html: guides/a.html#b\nindex.html: guides/b.html\nindex.html: guides/b.svg";
        assert_eq!(problems(page), wanted);
    }
}
