//! Why a file could not be read or written.

use std::fmt;
use std::io;
use std::path::Path;

use btp_policy::{Code, presentable};

/// What went wrong, and with which file.
#[derive(Debug)]
pub(crate) enum FileError {
    Unreadable {
        name: String,
        error: io::Error,
    },
    /// It is not UTF-8.
    NoText {
        name: String,
    },
    Unwritable {
        name: String,
        error: io::Error,
    },
    /// Nothing can be printed.
    Stdout(io::Error),
}

impl FileError {
    pub(crate) fn unreadable(path: &Path, error: io::Error) -> Self {
        let name = path.display().to_string();
        Self::Unreadable { name, error }
    }

    pub(crate) fn unwritable(path: &Path, error: io::Error) -> Self {
        let name = path.display().to_string();
        Self::Unwritable { name, error }
    }
}

impl FileError {
    /// What kind of mistake it is; `None`, if it is none of the input.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Unreadable { .. } => Some(Code::NotReadable),
            Self::NoText { .. } => Some(Code::NotUtf8),
            Self::Unwritable { .. } => Some(Code::NotWritable),
            Self::Stdout(_) => None,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { name, error } => {
                write!(formatter, "cannot read {}: {error}", presentable(name))
            }
            Self::NoText { name } => write!(formatter, "{} is not UTF-8 text", presentable(name)),
            Self::Unwritable { name, error } => {
                write!(formatter, "cannot write {}: {error}", presentable(name))
            }
            Self::Stdout(error) => write!(formatter, "cannot write to stdout: {error}"),
        }
    }
}
