//! The repository's files, by their paths with `/` from its root on.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What is built lies in folders of these names, wherever they are.
const BUILT: [&str; 2] = ["target", "dist"];

/// All files in a folder and below, in order, but for hidden ones and what is built. The
/// folder of no name is the root.
pub(super) fn below(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(root, folder, &mut files)?;
    files.sort();
    Ok(files)
}

/// The text of a file.
pub(super) fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

/// The folder that a file is in.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path in a folder.
pub(super) fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

/// Follows a path that is written in a file of `folder`; none if it leaves the repository.
pub(super) fn follow(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if path.starts_with('/') {
        return None;
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The way from a file in `folder` to another file.
pub(super) fn way(folder: &str, to: &str) -> String {
    let from: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = to.split('/').collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(shared).map(|_| "..");
    let parts: Vec<&str> = up.chain(to.iter().skip(shared).copied()).collect();
    parts.join("/")
}

fn collect(root: &Path, folder: &str, files: &mut Vec<String>) -> Result<()> {
    let path = root.join(folder);
    let entries = fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || BUILT.contains(&name.as_str()) {
            continue;
        }
        let path = join(folder, &name);
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_followed_within_the_repository() {
        let follow = |folder, path| follow(folder, path);
        assert_eq!(
            follow("docs/guides", "fleet.md").unwrap(),
            "docs/guides/fleet.md"
        );
        assert_eq!(
            follow("docs/guides", "../../README.md").unwrap(),
            "README.md"
        );
        assert_eq!(follow("", "examples/").unwrap(), "examples");
        assert_eq!(follow("docs", "./reference/../a.md").unwrap(), "docs/a.md");
        assert_eq!(follow("docs", "../../etc/passwd"), None);
        assert_eq!(follow("docs", "/etc/passwd"), None);
    }

    #[test]
    fn a_way_leads_up_and_down_again() {
        assert_eq!(way("", "README.md"), "README.md");
        assert_eq!(way("guides", "guides/fleet.md"), "fleet.md");
        assert_eq!(
            way("guides", "examples/apply/README.md"),
            "../examples/apply/README.md"
        );
        assert_eq!(way("examples/apply", "README.md"), "../../README.md");
    }

    #[test]
    fn hidden_and_built_files_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        for file in ["a.md", "b/c.md", "b/target/d.md", "dist/e.md", ".git/f.md"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(below(root.path(), "").unwrap(), ["a.md", "b/c.md"]);
        assert_eq!(below(root.path(), "b").unwrap(), ["b/c.md"]);
    }
}
