//! Cells of token buckets: those of routes and clients, and the counters that replace them
//! where there is no room.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::{CellId, CellKind, CellNames};

/// Names buckets that are kept in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketsId {
    /// Those of one rule's routes.
    Own(u32),
    /// A set of those of clients, under several rules.
    Shared(u32),
}

/// Names cells of a rule for clients that have no bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverflowId(pub u32);

/// Buckets of different keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// In no order; each key once.
    pub buckets: Vec<Bucket>,
    /// Some who have no bucket here have debt elsewhere.
    pub mark: Option<SetMark>,
}

/// One token bucket. Its state is one point in time on the clock of all workers,
/// at which it will be full again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The key; never 0.
    pub key: u64,
    /// When it will be full: whole nanoseconds.
    pub full_at_ns: u64,
    /// And 2⁻³² ns.
    pub full_at_fraction: u32,
    /// The rate that the debt was last changed under; `None` if that is not known.
    /// With it the debt can be told in tokens, whatever the rate is now.
    pub rate: Option<Rate>,
}

/// How fast tokens come back, and how many there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back in a period.
    pub tokens: NonZeroU32,
    /// The most that a bucket holds.
    pub burst: u32,
    /// Nanoseconds.
    pub period_ns: u64,
}

/// Says that clients without a bucket in a set have debt elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetMark {
    /// Until when it may matter, in nanoseconds.
    pub until_ns: u64,
    /// Changes each time.
    pub number: u32,
}

/// Debts of clients without a bucket, several in one counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverflowCells {
    /// Counters count from this time, in nanoseconds.
    pub base_ns: u64,
    /// What one step of a counter is worth, in nanoseconds. 0: nobody has used
    /// these cells.
    pub unit_ns: u64,
    /// Bytes of a counter.
    pub width: usize,
    /// The limit that all of them are debts of; `None` if that is not known.
    pub rate: Option<Rate>,
    /// When they were last rewritten for another limit, in nanoseconds; 0: never.
    pub converted_ns: u64,
    /// The counters, packed as there are many: each `width` bytes, little-endian.
    pub counters: Vec<u8>,
}

impl CellId for BucketsId {
    type Cell = Buckets;

    fn name(self, names: &CellNames) -> Option<Cow<'_, str>> {
        match self {
            Self::Own(number) => names.of(CellKind::Buckets).get(number),
            Self::Shared(number) => names.of(CellKind::SharedBuckets).get(number),
        }
    }
}

impl CellId for OverflowId {
    type Cell = OverflowCells;

    fn name(self, names: &CellNames) -> Option<Cow<'_, str>> {
        names.of(CellKind::Overflow).get(self.0)
    }
}
