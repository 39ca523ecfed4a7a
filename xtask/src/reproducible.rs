//! Whether two clones in different folders build the same filter, byte for
//! byte, so that anybody can check a file against the sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::{module, sh, toolchain, wasm, zig};

/// Makes both builds of the filter from a copy of the sources, elsewhere and from
/// nothing, and compares them with those in `dist`.
pub(crate) fn check(project: &Project) -> Result<()> {
    let here = builds(project)?;
    let root = project
        .target
        .join("reproducible/in a folder of another name");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    copy_sources(project, &root)?;
    let elsewhere = Project {
        target: root.join("target"),
        // The copy has no repository to ask.
        commit: project.commit.clone(),
        root,
        install: project.install,
    };
    zig::lend(project, &elsewhere)?;
    let there = builds(&elsewhere)?;
    for (here, there) in here.iter().zip(&there) {
        compare(project, here, there)?;
    }
    fs::remove_dir_all(&elsewhere.root)?;
    Ok(())
}

fn builds(project: &Project) -> Result<[PathBuf; 2]> {
    Ok([
        wasm::filter(project)?,
        module::build(project, &module::own_target())?,
    ])
}

fn compare(project: &Project, here: &Path, there: &Path) -> Result<()> {
    let name = here.file_name().unwrap_or_default().display();
    let (here, there) = (fs::read(here)?, fs::read(there)?);
    // Both were built by the same person, whose folders must not show either.
    let own = [
        Some(project.root.display().to_string()),
        toolchain::cargo_home(),
    ];
    if let Some(folder) = own.into_iter().flatten().find(|it| holds(&here, it)) {
        bail!("{name} names the folder {folder}: see `anonymous_paths`");
    }
    if let Some(difference) = difference(&here, &there) {
        bail!("{name} depends on the folder that it is built in: {difference}");
    }
    println!("{name}: {} bytes, the same from two folders", here.len());
    Ok(())
}

/// Copies the files that belong to the repository, as they are now.
fn copy_sources(project: &Project, to: &Path) -> Result<()> {
    let git = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let files = sh::read(project.command("git").args(git))?;
    for file in files.split_terminator('\0') {
        let from = project.root.join(file);
        // Deleted here, and not yet committed.
        if !from.is_file() {
            continue;
        }
        let to = to.join(file);
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|it| it == text.as_bytes())
}

/// Where two files differ, and the bytes there.
fn difference(one: &[u8], other: &[u8]) -> Option<String> {
    if one == other {
        return None;
    }
    let at = one.iter().zip(other).position(|(one, other)| one != other);
    let at = at.unwrap_or(one.len().min(other.len()));
    let around = |bytes: &[u8]| {
        let range = at.saturating_sub(40)..(at + 40).min(bytes.len());
        String::from_utf8_lossy(&bytes[range])
            .escape_debug()
            .to_string()
    };
    Some(format!(
        "{} and {} bytes, first at {at}: \"{}\" and \"{}\"",
        one.len(),
        other.len(),
        around(one),
        around(other)
    ))
}

#[cfg(test)]
mod tests {
    use super::{difference, holds};

    #[test]
    fn a_folder_is_found() {
        assert!(holds(b"at /home/me/x.rs:1", "/home/me"));
        assert!(!holds(b"at ./x.rs:1", "/home/me"));
        assert!(!holds(b"", "/home/me"));
    }

    #[test]
    fn a_difference_is_shown_with_what_stands_around_it() {
        assert_eq!(difference(b"same", b"same"), None);
        let shown = difference(b"/home/me/x.rs", b"/home/you/x.rs").unwrap();
        assert!(
            shown.contains("first at 6") && shown.contains("/home/you/x.rs"),
            "{shown}"
        );
        assert!(
            difference(b"longer", b"long")
                .unwrap()
                .contains("6 and 4 bytes")
        );
    }
}
