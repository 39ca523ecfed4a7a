//! The identity of a built filter: name, version, commit and build, as JSON in a section of
//! the .wasm or in a note of the module's ELF file.
//!
//! Files may come from anywhere, so nothing in them is trusted: each length is checked
//! against the file's size.

mod elf;
mod wasm;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

/// A build of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BuildInfo {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) commit: String,
    /// `wasm` or `module`.
    pub(crate) build: String,
}

/// Why a file says nothing.
#[derive(Debug)]
pub(crate) enum Silent {
    Unreadable(io::Error),
    TooLarge,
    /// It is neither WebAssembly nor ELF.
    NoFilter,
    /// It is one of these and ends too early, or contradicts itself.
    Broken(&'static str),
    /// It may be an older filter, or something else.
    SaysNothing(&'static str),
    /// What it says is not as filters say it.
    Unclear,
}

/// More than any build of the filter has; a file may have no end.
const LARGEST: u64 = 256 << 20;

/// The longest text that is shown of a file.
const LONGEST: usize = 100;

/// Reads a file.
///
/// # Errors
/// It is no filter, or does not say which.
pub(crate) fn read(path: &Path) -> Result<BuildInfo, Silent> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Silent::Unreadable)?;
    let mut file = file.take(LARGEST + 1);
    file.read_to_end(&mut bytes).map_err(Silent::Unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Silent::TooLarge);
    }
    of(&bytes)
}

fn of(file: &[u8]) -> Result<BuildInfo, Silent> {
    let text = if file.starts_with(b"\0asm") {
        wasm::section(file)?.ok_or(Silent::SaysNothing("WebAssembly"))?
    } else if file.starts_with(b"\x7fELF") {
        elf::note(file)?.ok_or(Silent::SaysNothing("ELF"))?
    } else {
        return Err(Silent::NoFilter);
    };
    parse(text).ok_or(Silent::Unclear)
}

fn parse(text: &[u8]) -> Option<BuildInfo> {
    let text: Value = serde_json::from_slice(text).ok()?;
    let part = |name: &str| {
        let part = text.get(name)?.as_str()?;
        let is_shown = part.len() <= LONGEST && part.chars().all(|it| it.is_ascii_graphic());
        is_shown.then(|| part.to_owned())
    };
    Some(BuildInfo {
        name: part("name")?,
        version: part("version")?,
        commit: part("commit")?,
        build: part("build")?,
    })
}

impl fmt::Display for Silent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(formatter, "cannot be read: {error}"),
            Self::TooLarge => formatter.write_str("is larger than 256 MiB: it is not a filter"),
            Self::NoFilter => formatter.write_str(
                "is not a build of the filter: it is neither a .wasm nor a shared object (ELF)",
            ),
            Self::Broken(what) => write!(
                formatter,
                "is damaged: {what}. Copy it again, or build it with cargo xtask build"
            ),
            Self::SaysNothing(kind) => write!(
                formatter,
                "contains no version: it is of kind {kind}, but has no version of btp's, like old \
                 builds of the filter"
            ),
            Self::Unclear => {
                formatter.write_str("has a version that this btp cannot read: try a newer btp")
            }
        }
    }
}

#[cfg(test)]
mod tests;
