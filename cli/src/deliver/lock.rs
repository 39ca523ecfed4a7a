//! One run at a time for a folder: two interleaved runs would each remove the other's
//! clusters between their phases.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Error;

/// A folder that is ours until this is dropped, or the program ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _folder: Option<File>,
}

impl Lock {
    /// Takes a folder. One that is not there is refused elsewhere; one on a
    /// file system without locks is used without.
    pub(crate) fn take(folder: &Path) -> Result<Self, Error> {
        let opened = File::open(folder).ok();
        let locked = opened
            .as_ref()
            .map(|it| flock(it, FlockOperation::NonBlockingLockExclusive));
        match locked {
            Some(Err(Errno::WOULDBLOCK)) => Err(Error::Busy(folder.to_owned())),
            _ => Ok(Self { _folder: opened }),
        }
    }
}
