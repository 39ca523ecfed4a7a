//! Files as they were read: what commands work on, and findings point into.

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its name, as it was given.
    pub(crate) name: String,
    /// What stands in it.
    pub(crate) text: String,
}
