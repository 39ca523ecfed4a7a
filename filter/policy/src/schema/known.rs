//! Objects whose known fields are those of a table.

use super::shape::Object;
use crate::problem::Problems;
use crate::read::{self, Cursor};

impl<'a> Cursor<'a> {
    /// An object with no other fields than those of `table`. Unknown and duplicate
    /// fields are noted; the rest can be read all the same.
    pub fn object_of(&self, table: &Object, problems: &mut Problems) -> Option<read::Object<'a>> {
        let known: Vec<&str> = table.names().collect();
        self.object(&known, problems)
    }
}
