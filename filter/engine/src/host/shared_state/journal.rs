//! A worker's record of the retry credit that it holds, so that another worker can give the
//! credit back when this one has died.
//!
//! Claims ([`super::Claims`]) have many writers, a journal has one, so writing does not
//! contend with other workers. It has many pages, so that an entry costs the same however
//! much the worker holds.

use std::borrow::Cow;

use super::{CellId, CellNames, Cells};
use crate::host::metrics::Labels;
use btp_policy::hash::siphash24;

/// A worker of a process in which workers die without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId {
    /// From 0. A worker in the place of a dead one may get the same number.
    pub number: u32,
    /// A random number, never 0, that no other worker has or had.
    pub id: u64,
}

/// Names one page of one worker's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageId {
    /// The worker's number.
    pub worker: u32,
    /// From 0 to [`PAGES`] - 1.
    pub page: u32,
}

/// A page of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The id of the worker that wrote it; 0 if it is empty.
    pub owner: u64,
    /// What that worker holds, budget by budget.
    pub held: Vec<HeldCredit>,
}

/// Credit for retries that a worker holds of one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCredit {
    /// Whose budget it is.
    pub budget: Labels,
    /// Retries that requests pay for.
    pub share: u32,
    /// Retries that `minRetryRate` pays for.
    pub floor: u32,
}

/// The journals of all workers.
pub trait Journals: Cells<PageId> {
    /// This worker; `None` if it has no journal. A worker that was presumed dead
    /// gets another number.
    fn worker(&self) -> Option<WorkerId>;
}

/// Pages of a journal.
pub const PAGES: u32 = 64;

impl PageId {
    /// The page of a worker on which this budget is.
    pub(crate) fn of(worker: WorkerId, budget: &Labels) -> Self {
        let Labels {
            namespace, policy, ..
        } = budget;
        let part = budget.part.as_ref().map_or("", |(_, part)| part);
        // Nobody gains by filling a page: the names are those of a configuration.
        let hash = siphash24([0; 2], &[namespace, policy, part].map(str::as_bytes));
        let page = u32::try_from(hash % u64::from(PAGES)).unwrap_or(0);
        Self {
            worker: worker.number,
            page,
        }
    }
}

impl CellId for PageId {
    type Cell = Page;

    /// Pages belong to the process, whatever plans it has.
    fn name(self, _: &CellNames) -> Option<Cow<'_, str>> {
        let Self { worker, page } = self;
        Some(format!("btp.journal.{worker}.{page}").into())
    }
}
