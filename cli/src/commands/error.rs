//! Why a command could not run at all: files that cannot be read or written, and wrong
//! usage. Errors in its input are findings.

use std::fmt;

use btp_policy::Code;

use crate::deliver;
use crate::diagnostics::IsError;
use crate::file_error::FileError;
use crate::top;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Error {
    File(FileError),
    Delivery(deliver::Error),
    Top(top::Error),
    /// The request to explain is not valid.
    NoRequest(String),
    /// There is no such field to speak of.
    NoField(String),
    /// There is no such code; why.
    NoCode(String),
    /// `--allow` names an error.
    Allowed(IsError),
    /// An option is for a folder, and there is none.
    NeedsFolder {
        option: &'static str,
        why: &'static str,
    },
    /// stdin is given as two inputs.
    StdinTwice(&'static str, &'static str),
    /// The bootstrap comes from stdin, and is to go to a folder.
    NoName,
    /// The report and the configuration are both to go to stdout.
    StdoutTwice,
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

impl From<top::Error> for Error {
    fn from(error: top::Error) -> Self {
        Self::Top(error)
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
            Self::Top(error) => error.fmt(formatter),
            Self::NoRequest(text) => {
                write!(
                    formatter,
                    "{text:?} is not a valid request: write it as \"POST https://shop/api\", or \
                     \"GET /api\""
                )
            }
            Self::NoField(reason) => formatter.write_str(reason),
            Self::NoCode(why) => formatter.write_str(why),
            Self::Allowed(error) => error.fmt(formatter),
            Self::NeedsFolder { option, why } => write!(
                formatter,
                "{option} needs --out-dir DIR: {why}. Give --out-dir DIR instead of -o, or leave \
                 {option} out"
            ),
            Self::StdinTwice(first, second) => {
                let inputs = match first == second {
                    true => format!("twice as {first}"),
                    false => format!("as {first} and as {second}"),
                };
                write!(
                    formatter,
                    "stdin can be read only once, and `-` is given {inputs}: put one of them in a \
                     file"
                )
            }
            Self::NoName => formatter.write_str(
                "--out-dir writes the bootstrap under its own file name, and stdin has none: give \
                 --bootstrap a file",
            ),
            Self::StdoutTwice => formatter.write_str(
                "--format json prints the report to stdout, where the configuration already goes: \
                 give -o FILE, --out-dir DIR or --dry-run",
            ),
            Self::NoWatch => formatter
                .write_str("--watch is not available yet: run btp apply again when a file changes"),
        }
    }
}
