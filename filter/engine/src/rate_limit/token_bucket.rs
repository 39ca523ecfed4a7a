//! The limit of one rule: a token bucket for each route or client, and where
//! workers keep them.

use btp_policy::spec::{Limit, Queue};

use super::buckets::Key;
use super::gcra::{Fixed, Gcra};
use super::overflow::SETS_PER_CELL;
use crate::event::LogMessage;
use crate::host::metrics::{CounterId, Metrics};
use crate::host::shared_state::{BucketsId, OverflowId, SharedState};

/// The limit of one rule, and where its buckets are.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    pub(crate) bucket: Gcra,
    /// Tokens that a worker fetches at a time, where a fetch is expensive.
    pub(super) lease: u64,
    pub(super) place: BucketPlace,
    pub(super) counters: LimitCounters,
    /// What the operator is told when there is no room for a bucket.
    pub(super) overflow_warning: LogMessage,
}

/// Where the buckets of a limit are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BucketPlace {
    /// Those of routes have a cell for themselves.
    OfRoutes(BucketsId),
    /// Those of clients are among other limits'.
    OfClients {
        table: KeyTable,
        /// The first of the limit's own cells, for clients that find no slot.
        overflow: OverflowId,
    },
}

/// Where the buckets, or the permits, of all `Distinct` values are: a table of
/// sets, so that one operation moves only a few of them. Each set is a cell of
/// its own, numbered from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyTable {
    pub(crate) sets: u32,
}

/// What counts the shared store's work for a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitCounters {
    pub(crate) operations: CounterId,
    pub(crate) contended: CounterId,
    pub(crate) overflows: CounterId,
}

impl LimitCounters {
    /// Counts an operation where it is expensive; elsewhere the count would cost more.
    pub(crate) fn count_operation<H: SharedState + Metrics>(self, host: &H) {
        if H::LEASES {
            host.add(self.operations, 1);
        }
    }
}

/// Names one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketRef {
    /// Index into the plan's limits.
    pub(crate) limit: usize,
    pub(crate) key: Key,
}

/// How full a bucket is, as a worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketState {
    pub(crate) bucket: Gcra,
    pub(crate) tokens: u64,
    /// Nanoseconds to wait for the tokens that were taken.
    pub(crate) wait_ns: u64,
    /// The tokens that no worker has fetched.
    shared: u64,
    full_at: Fixed,
    now_ns: u64,
}

/// Buckets in one set of the table of `Distinct` values, and how many there
/// are on average when the table counts as full. That one set overflows
/// before has a probability of about 10⁻⁷.
pub(super) const WAYS: usize = 64;
pub(crate) const KEYS_PER_SET: usize = WAYS / 2;
/// Clients that find no room have this many times the permits of one together.
pub(crate) const OVERFLOW_FACTOR: u32 = 16;
/// A lease is what comes back in this time, and not more than this part of
/// the burst: 5 ms, a 64th.
const LEASE_NS: u64 = 5_000_000;
const LEASE_SHARE: u32 = 64;

impl KeyTable {
    /// The number of the set that a key belongs to.
    pub(super) fn set_of(self, key: Key) -> u32 {
        let set = (u128::from(key.get()) * u128::from(self.sets)) >> 64;
        u32::try_from(set).unwrap_or(0)
    }

    /// The set with the bucket `key`.
    pub(super) fn buckets_of(self, key: Key) -> BucketsId {
        BucketsId::Shared(self.set_of(key))
    }

    /// The cell with the counters of `key`, of a limit whose first this is.
    pub(super) fn overflow_of(self, first: OverflowId, key: Key) -> OverflowId {
        let cell = self.set_of(key) / SETS_PER_CELL;
        OverflowId(first.0.saturating_add(cell))
    }

    /// Cells that a limit has beside the table.
    pub(super) fn overflow_cells(self) -> u32 {
        self.sets.div_ceil(SETS_PER_CELL)
    }
}

impl BucketPlace {
    /// The cell with the bucket `key`.
    fn cell_of(self, key: Key) -> BucketsId {
        match self {
            Self::OfRoutes(own) => own,
            Self::OfClients { table, .. } => table.buckets_of(key),
        }
    }
}

impl TokenBucket {
    /// `requests` must not be 0: no bucket is needed for that.
    pub(crate) fn new(
        limit: Limit,
        place: BucketPlace,
        counters: LimitCounters,
        overflow_warning: String,
        queue: Option<Queue>,
    ) -> Self {
        let in_time = u64::from(limit.requests).saturating_mul(LEASE_NS) / limit.unit.nanos();
        let lease = in_time.min((limit.burst / LEASE_SHARE).into()).max(1);
        let bucket = Gcra::new(limit.requests, limit.unit.nanos(), limit.burst);
        let (bucket, lease) = match queue {
            None => (bucket, lease),
            // A request that is queued waits for its own tokens, not for those
            // that its worker fetches ahead.
            Some(queue) => {
                let most = queue.max_queued.map_or(u64::MAX, u64::from);
                (bucket.ahead(most, queue.max_delay.as_nanos()), 1)
            }
        };
        Self {
            bucket,
            lease,
            place,
            counters,
            overflow_warning: LogMessage::new(overflow_warning),
        }
    }

    #[cfg(test)]
    pub(crate) fn lease(&self) -> u64 {
        self.lease
    }

    /// The cell with the bucket `key`.
    pub(super) fn cell_of(&self, key: Key) -> BucketsId {
        self.place.cell_of(key)
    }

    #[inline(never)]
    pub(super) fn state(&self, full_at: Fixed, left: u64, now_ns: u64) -> BucketState {
        let shared = self.bucket.tokens(full_at, now_ns);
        BucketState {
            bucket: self.bucket,
            tokens: shared.saturating_add(left).min(self.bucket.burst()),
            wait_ns: 0,
            shared,
            full_at,
            now_ns,
        }
    }
}

impl BucketState {
    /// Whether tokens come back more slowly than in the other bucket, if there
    /// is one.
    pub(crate) fn is_slower_than(self, other: Option<Self>) -> bool {
        other.is_none_or(|other| self.bucket.is_slower_than(other.bucket))
    }

    /// Nanoseconds until there is a token more; `None` if the bucket is full.
    pub(crate) fn next_ns(self) -> Option<u64> {
        let next = self.shared.saturating_add(1);
        (self.tokens < self.bucket.burst())
            .then(|| self.bucket.wait_for(next, self.full_at, self.now_ns))
    }
}
