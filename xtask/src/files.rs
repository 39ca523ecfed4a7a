//! Built files: their sizes, and copying them to their places.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The size of a file, in bytes.
pub(crate) fn size(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("no {}", path.display()))?;
    Ok(metadata.len())
}

/// A size for people.
pub(crate) fn kib(bytes: u64) -> String {
    format!("{bytes} bytes ({:.1} KiB)", bytes as f64 / 1024.0)
}

/// Writes a file under another name first: somebody may be running the old one.
pub(crate) fn put(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    write(&fresh)
        .and_then(|()| Ok(fs::rename(&fresh, path)?))
        .with_context(|| format!("cannot write {}", path.display()))
}
