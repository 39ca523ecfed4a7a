//! The files that paths on the command line stand for.
//!
//! Folders are walked as `kubectl` and kubelets lay them out: what begins with a dot is
//! somebody's own (`.git`, and the `..data` of a mounted ConfigMap, which the links
//! beside it lead to), and folders behind links have been seen or are no part of it. What
//! is named by itself is read, whatever its name.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::file_error::FileError;
use crate::source_file::is_stdin;

/// A file to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InputFile {
    pub(super) path: PathBuf,
    /// Whether it was found in a folder, and not given by its name.
    pub(super) is_found: bool,
}

/// The files of some paths: each once, those of folders sorted.
pub(super) fn files_of(paths: &[PathBuf]) -> Result<Vec<InputFile>, FileError> {
    let mut files = Vec::new();
    for path in paths {
        if !is_stdin(path) && path.is_dir() {
            walk(path, &mut files)?;
        } else {
            files.push(InputFile {
                path: path.clone(),
                is_found: false,
            });
        }
    }
    let mut known = BTreeSet::new();
    // What cannot be resolved cannot be read either, which is said then.
    let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    files.retain(|it| is_stdin(&it.path) || known.insert(place(&it.path)));
    Ok(files)
}

/// Adds the manifests below a folder.
fn walk(folder: &Path, files: &mut Vec<InputFile>) -> Result<(), FileError> {
    let fail = |error: io::Error| FileError::unreadable(folder, error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let is_link = entry.file_type().map_err(fail)?.is_symlink();
        entries.push((entry.path(), is_link));
    }
    entries.sort();
    for (path, is_link) in entries {
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let extension = path.extension().and_then(|it| it.to_str());
        if path.is_dir() {
            if !is_link {
                walk(&path, files)?;
            }
        // A pipe would be waited for.
        } else if path.is_file() && matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(InputFile {
                path,
                is_found: true,
            });
        }
    }
    Ok(())
}
