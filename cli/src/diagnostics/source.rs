//! Files as they were read: what commands work on, and findings point into.

use std::io;

use crate::file_error::FileError;

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name, as it was given.
    pub(crate) name: String,
    /// What stands in it.
    pub(crate) text: String,
}

impl Source {
    /// What came of reading a file that is called `name`.
    ///
    /// # Errors
    /// It could not be read, or is no text.
    pub(crate) fn of(name: String, read: io::Result<Vec<u8>>) -> Result<Self, FileError> {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => return Err(FileError::Unreadable { name, error }),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(_) => Err(FileError::NoText { name }),
        }
    }
}
