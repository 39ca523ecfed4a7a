//! Why a delivery has not begun, or has not ended, and what to do then.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::summary::{Summary, list};
use crate::file_error::FileError;
use crate::host_port::HostPort;

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Error {
    /// Another run is at this folder.
    Busy(PathBuf),
    /// A file cannot be read or written; nothing is.
    Unwritten(FileError),
    /// Nothing is written.
    NotBegun(Cause),
    /// Some of it is written, and serves as it is.
    Unfinished(Box<Unfinished>),
}

/// Why some of it is not written.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(super) cause: Cause,
    pub(super) written: Summary,
    /// What is not written.
    pub(super) rest: Vec<String>,
}

/// Why it does not go on.
#[derive(Debug)]
pub(crate) enum Cause {
    /// Routes are to send to clusters that Envoy reads only when it starts.
    Restart(BTreeSet<String>),
    Unreachable {
        address: HostPort,
        error: String,
    },
    /// An Envoy does not say whether it takes a file.
    Unwatched {
        address: HostPort,
        file: String,
    },
    /// Envoy does not take a file; the counter that says so.
    Refused {
        address: HostPort,
        file: String,
        counter: String,
        /// It is the file of a filter that a listener did not have before.
        is_new_filter: bool,
    },
    /// Something has not happened in time.
    Late {
        address: HostPort,
        what: String,
        patience: Duration,
    },
    Unwritten(FileError),
}

impl Error {
    /// Whether the same command will do the rest, when Envoy is as far.
    pub(crate) fn is_unfinished(&self) -> bool {
        match self {
            Self::Unfinished(_) => true,
            Self::NotBegun(cause) => matches!(cause, Cause::Restart(_) | Cause::Late { .. }),
            Self::Busy(_) | Self::Unwritten(_) => false,
        }
    }

    /// The files that have been written, phase by phase.
    pub(crate) fn phases(&self) -> &[Vec<String>] {
        match self {
            Self::Unfinished(it) => it.written.phases(),
            Self::NotBegun(_) | Self::Busy(_) | Self::Unwritten(_) => &[],
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(folder) => write!(
                formatter,
                "another btp apply is writing to {}: run this command again when it has ended",
                folder.display()
            ),
            Self::Unwritten(error) => error.fmt(formatter),
            Self::NotBegun(cause) => {
                write!(
                    formatter,
                    "{cause}\nNothing was written: {}",
                    cause.advice()
                )
            }
            Self::Unfinished(it) => {
                write!(formatter, "{}\n{}", it.cause, it.written)?;
                if !it.rest.is_empty() {
                    writeln!(formatter, "not written: {}", list(&it.rest))?;
                }
                if !it.cause.is_outage() {
                    formatter
                        .write_str("No request is lost: the previous clusters are still there. ")?;
                }
                formatter.write_str(it.cause.advice())
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart(names) => {
                let names: Vec<String> = names.iter().cloned().collect();
                let what = match names.len() {
                    1 => "cluster",
                    _ => "clusters",
                };
                write!(
                    formatter,
                    "routes will send to {what} {} of the bootstrap, which Envoy reads only when \
                     it starts",
                    list(&names)
                )
            }
            Self::Unreachable { address, error } => {
                write!(
                    formatter,
                    "the admin interface {address} cannot be reached: {error}"
                )
            }
            Self::Unwatched { address, file } => write!(
                formatter,
                "Envoy at {address} does not count updates of {file}: it does not watch it, or a \
                 stats_matcher hides cluster_manager.cds and listener_manager.lds"
            ),
            Self::Refused {
                address,
                file,
                counter,
                ..
            } => {
                write!(
                    formatter,
                    "Envoy at {address} refuses {file}: {counter} has increased"
                )
            }
            Self::Late {
                address,
                what,
                patience,
            } => {
                write!(formatter, "Envoy at {address}: {what} after {patience:?}")
            }
            Self::Unwritten(error) => error.fmt(formatter),
        }
    }
}

impl Cause {
    /// Whether requests fail meanwhile: a listener that is new with a filter
    /// answers 500 until it has one.
    pub(super) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                is_new_filter: true,
                ..
            }
        )
    }

    /// What to do.
    fn advice(&self) -> &'static str {
        match self {
            Self::Restart(_) => {
                "Restart Envoy, then run this command again. If no Envoy is running, give \
                 --at-once. Clusters in a file of cds_config need no restart"
            }
            Self::Unreachable { .. } => {
                "Check that Envoy runs and that --admin is the address of its admin interface, \
                 then run this command again. Without --admin, btp apply waits a fixed time after \
                 each phase"
            }
            Self::Unwatched { .. } => {
                "Give the address of an Envoy that watches --out-dir, or \
                leave --admin out"
            }
            Self::Refused { .. } => {
                "Find the reason in Envoy's log, correct it, then run this \
                command again"
            }
            Self::Late { .. } => {
                "Check that Envoy watches --out-dir, where files are replaced by renaming, and \
                 read its log, then run this command again. --wait gives it more time"
            }
            Self::Unwritten(_) => "Correct the cause, then run this command again",
        }
    }
}
