//! Why `btp top` cannot show anything.

use std::fmt;
use std::io;

use btp_policy::presentable;

use crate::file_error::FileError;
use crate::host_port::HostPort;

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nobody answers, or not in time.
    Unreachable(HostPort, io::Error),
    /// Somebody else answers; with what.
    NotEnvoy(HostPort, String),
    /// Envoy has no statistics of the filter.
    NoFilter(HostPort),
    /// It cannot be printed.
    Unwritten(FileError),
    /// The terminal cannot be used.
    Terminal(io::Error),
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::Unwritten(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(address, error) => {
                let error = error.to_string();
                write!(
                    formatter,
                    "{address} cannot be reached: {}: --admin is the address of Envoy's admin \
                     interface, `admin.address` in its configuration",
                    presentable(&error)
                )
            }
            Self::NotEnvoy(address, why) => write!(
                formatter,
                "{address} is not the admin interface of an Envoy: {}",
                presentable(why)
            ),
            Self::NoFilter(address) => write!(
                formatter,
                "{address}: no BackendTrafficPolicy filter has counted anything yet: a filter \
                 counts from its first request on, unless Envoy's stats_matcher excludes \
                 `wasmcustom.btp` or `dynamicmodulescustom.btp`"
            ),
            Self::Unwritten(error) => error.fmt(formatter),
            Self::Terminal(error) => write!(
                formatter,
                "the terminal cannot be used: {error}: --once prints a table without it"
            ),
        }
    }
}
