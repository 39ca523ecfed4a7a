//! What the workers of one process share: typed cells, each changed as a whole.
//!
//! An id names a cell and tells what is in it. The host decides how to store a cell: as
//! bytes under a key, or as the value itself behind a lock. All plans of a process that
//! name the same cell share it, and it outlives them.

pub(crate) mod accounts;
mod buckets;
mod claims;
pub(crate) mod journal;
mod names;

use std::borrow::Cow;
use std::fmt::Debug;

use crate::host::metrics::CounterId;

use accounts::Accounts;
pub use buckets::{Bucket, Buckets, BucketsId, OverflowCells, OverflowId, Rate, SetMark};
pub use claims::{Claims, HeldClaim, Owner, QuotaId, Registration, Registry, RegistryId};
use journal::Journals;

pub use names::{CellKind, CellNames, SharedNames};

/// Names a cell of one kind.
pub trait CellId: Copy + Debug {
    /// What is in it; at first the default.
    type Cell: Clone + Debug + Default + PartialEq + Send + 'static;

    /// The cell's name under a plan; `None` if the plan has no such cell.
    fn name(self, names: &CellNames) -> Option<Cow<'_, str>>;
}

/// The cells of one kind.
pub trait Cells<I: CellId> {
    /// Shows `step` the cell, and stores the result if `step` returns it. `step` may be
    /// called several times if other workers interfere; only the last call counts. It must
    /// not change a cell that it keeps. An update may cost the same whatever it does, so
    /// callers do all their work in one.
    ///
    /// # Errors
    /// [`Contended`]: nothing was changed. A caller that needs permission treats this as a
    /// refusal.
    fn update<T>(&self, id: I, step: impl FnMut(&mut I::Cell) -> Update<T>)
    -> Result<T, Contended>;
}

/// All that workers share.
pub trait SharedState:
    Cells<SeedId>
    + Cells<BucketsId>
    + Cells<OverflowId>
    + Cells<QuotaId>
    + Cells<RegistryId>
    + Accounts
    + Journals
{
    /// Whether an update is so expensive that a worker takes several tokens or permits of a
    /// large limit at a time. If not, it takes each when it needs it, and withholds none
    /// from other workers.
    const LEASES: bool;

    /// A worker can die and leave behind what it holds, as when its VM traps. So
    /// workers that hold anything send heartbeats, and what the silent hold is
    /// released. If not, all claims are those of one worker, the process.
    const WORKERS_DIE: bool;

    /// Whether this has not been counted yet: the operator is told of it once.
    fn is_first(&self, counter: CounterId) -> bool;
}

/// The result of a step on a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update<T> {
    /// It is as it was.
    Keep(T),
    /// It was changed.
    Write(T),
}

/// Others got in between too often, or the cell is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contended;

/// Names the cell with the key of all hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedId;

impl CellId for SeedId {
    /// `None` until a worker has drawn it.
    type Cell = Option<[u64; 2]>;

    fn name(self, names: &CellNames) -> Option<Cow<'_, str>> {
        names.of(CellKind::Seed).get(0)
    }
}
