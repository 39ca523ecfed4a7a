//! Why a command could not do its work at all: files that cannot be read or
//! written, and wrong usage. What is wrong with its input is a finding.

use std::fmt;

use btp_policy::Code;

use crate::deliver;
use crate::diagnostics::IsError;
use crate::file_error::FileError;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Error {
    File(FileError),
    Delivery(deliver::Error),
    /// What is to be explained is no request.
    NoRequest(String),
    /// There is no such code; why.
    NoCode(String),
    /// An error is to be allowed.
    Allowed(IsError),
    /// An option is for a folder, and there is none.
    NeedsFolder {
        option: &'static str,
        why: &'static str,
    },
    /// `--watch` of a later version.
    NoWatch,
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<deliver::Error> for Error {
    fn from(error: deliver::Error) -> Self {
        Self::Delivery(error)
    }
}

impl Error {
    /// What kind of mistake it is, if it is one of the input.
    pub(super) fn code(&self) -> Option<Code> {
        match self {
            Self::File(error) => error.code(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(formatter),
            Self::Delivery(error) => error.fmt(formatter),
            Self::NoRequest(text) => {
                write!(
                    formatter,
                    "{text:?} is no request: write it as \"POST https://shop/api\""
                )
            }
            Self::NoCode(why) => formatter.write_str(why),
            Self::Allowed(error) => error.fmt(formatter),
            Self::NeedsFolder { option, why } => write!(
                formatter,
                "{option} needs --out-dir DIR: {why}. Say --out-dir DIR instead of -o, or leave \
                 {option} out"
            ),
            Self::NoWatch => formatter
                .write_str("--watch is not there yet: run btp apply again when a file changes"),
        }
    }
}
