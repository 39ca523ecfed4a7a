//! Which files have prose, and what kind.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::rust;
use crate::text::Text;

/// Folders with pages, beside those in the root.
const PAGES: [&str; 3] = ["docs", "examples", "envoy"];

/// Folders with Rust.
const CODE: [&str; 4] = ["filter", "cli", "xtask", "tests"];

/// Folders of crates whose messages are read by users.
const MESSAGES: [&str; 4] = [
    "filter/policy/src",
    "filter/engine/src",
    "filter/formats/src",
    "cli/src",
];

/// Folders with what is built or found.
const NEVER: [&str; 3] = ["target", "dist", "artifacts"];

/// All files with prose, relative to the root.
pub(crate) fn all(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_file() && has_extension(&path, "md") {
            files.push(path);
        }
    }
    for folder in PAGES {
        add(&root.join(folder), "md", &mut files)?;
    }
    for folder in CODE {
        add(&root.join(folder), "rs", &mut files)?;
    }
    let relative = |path: PathBuf| path.strip_prefix(root).map(Path::to_owned).ok();
    let mut files: Vec<_> = files.into_iter().filter_map(relative).collect();
    files.sort();
    Ok(files)
}

/// The content of a file.
pub(crate) fn read(root: &Path, file: &Path) -> Result<String> {
    fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))
}

/// The texts of a file with this content.
pub(crate) fn texts(file: &Path, content: &str) -> Result<Vec<Text>> {
    if has_extension(file, "rs") {
        rust::texts(content, has_messages(file)).with_context(|| format!("in {}", file.display()))
    } else {
        Ok(vec![Text::page(content)])
    }
}

fn has_messages(file: &Path) -> bool {
    let is_test =
        |part: &std::ffi::OsStr| part == "tests.rs" || part == "tests" || part == "testing";
    MESSAGES.iter().any(|folder| file.starts_with(folder)) && !file.iter().any(is_test)
}

fn add(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if !NEVER.iter().any(|name| path.ends_with(name)) {
                add(&path, extension, files)?;
            }
        } else if has_extension(&path, extension) {
            files.push(path);
        }
    }
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}
