//! What a worker writes down of what it holds, so that others can give it back
//! when the worker has died.
//!
//! Unlike a table of a plan ([`crate::Tables`]), in which all workers hold
//! things, a journal has one writer, so that writing does not contend with other
//! workers. It has many pages, so that an entry costs the same however much the
//! worker holds.

use crate::host::values::{Contended, Step};
use crate::siphash::siphash24;

/// A worker of a process in which workers die without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId {
    /// From 0. A worker in the place of a dead one may get the same number.
    pub number: u32,
    /// A random number, never 0, that no other worker has or had.
    pub id: u64,
}

/// One page of one worker's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The worker's number.
    pub worker: u32,
    /// From 0 to [`PAGES`] - 1.
    pub page: u32,
}

/// The journals of all workers.
pub trait Journals {
    /// This worker; `None` if it has no journal. A worker that was taken for dead
    /// gets another number.
    fn worker(&self) -> Option<WorkerId>;

    /// Shows `step` a page, empty at first, and writes it back if `step` says so.
    /// `step` may be called several times; only the last call counts.
    ///
    /// # Errors
    /// [`Contended`]: nothing was changed.
    fn page<T>(
        &self,
        page: Page,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended>;
}

/// Pages of a journal.
pub const PAGES: u32 = 64;

impl Page {
    /// The page of a worker on which the thing of this name is.
    pub(crate) fn of(worker: WorkerId, name: &str) -> Self {
        // Nobody gains by filling a page: the names are those of a configuration.
        let hash = siphash24([0; 2], &[name.as_bytes()]);
        let page = u32::try_from(hash % u64::from(PAGES)).unwrap_or(0);
        Self {
            worker: worker.number,
            page,
        }
    }
}
