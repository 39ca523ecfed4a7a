//! Where tokens are paid out: first from the worker's leases, then from the
//! bucket that all workers share.

use std::sync::Arc;

use btp_policy::spec::{Limit, Queue};

use super::buckets::{self, Answer, Inheritance, Key};
use super::gcra::{Fixed, Gcra, Granted, Short};
use super::in_flight::PlaceRef;
use super::leases::Lease;
use super::overflow::{self, SETS_PER_BLOCK};
use crate::action::Action;
use crate::counters::CounterId;
use crate::host::Host;
use crate::plan::Plan;
use crate::shared::{BlockId, Contended, Step};
use crate::worker::Worker;

/// The limit of one rule, and where its buckets are.
#[derive(Debug)]
pub(crate) struct SharedLimit {
    pub(crate) bucket: Gcra,
    /// Tokens that a worker fetches at a time.
    lease: u64,
    /// The first of the rule's own blocks: the buckets of routes, or the cells
    /// of `Distinct` values for which there is no slot.
    pub(super) own: BlockId,
    /// Where the buckets of `Distinct` values are.
    pub(super) keys: Option<KeyTable>,
    counters: LimitCounters,
    /// Says whose limit it is.
    label: Arc<str>,
}

/// Where the buckets, or the places, of all `Distinct` values are: a table of
/// sets, so that one operation moves only a few of them. Each set is a block
/// or a shared table of its own, numbered from `first`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyTable {
    pub(crate) first: u32,
    pub(crate) sets: u32,
}

/// What counts the shared store's work for a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitCounters {
    pub(crate) operations: CounterId,
    pub(crate) contended: CounterId,
    pub(crate) overflows: CounterId,
}

/// Names one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketRef {
    /// Index into the plan's limits.
    pub(crate) limit: usize,
    pub(crate) key: Key,
}

/// How full a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) bucket: Gcra,
    pub(crate) tokens: u64,
    /// Nanoseconds to wait for the tokens that were taken.
    pub(crate) wait_ns: u64,
    /// Of the tokens, those that no worker has fetched.
    shared: u64,
    full_at: Fixed,
    now_ns: u64,
}

/// Takes tokens for one request.
#[derive(Debug)]
pub(crate) struct Till<'a, H> {
    pub(crate) plan: &'a Plan,
    pub(crate) worker: &'a mut Worker,
    pub(crate) host: &'a mut H,
    pub(crate) now_ns: u64,
    pub(crate) out: &'a mut Vec<Action>,
}

/// Buckets that a rule has for routes; further routes share one.
const ROUTES: usize = 256;
/// No block, until all limits are known.
const UNPLACED: BlockId = BlockId(u32::MAX);
/// Buckets in one set of the table of `Distinct` values, and how many there
/// are on average when the table counts as full. That one set overflows
/// before has a probability of about 10⁻⁷.
const WAYS: usize = 64;
pub(crate) const KEYS_PER_SET: usize = WAYS / 2;
/// The places of values that find no room are so many times as many.
pub(crate) const OVERFLOW_FACTOR: u32 = 16;
/// A set may be marked so often while its newcomer's debt is looked up.
const TRIES: usize = 8;
/// A lease is what comes back in this time, and not more than this part of
/// the burst: 5 ms, a 64th.
const LEASE_NS: u64 = 5_000_000;
const LEASE_SHARE: u32 = 64;

impl KeyTable {
    /// The number of the set that a key belongs to.
    pub(super) fn set_of(self, key: Key) -> u32 {
        let set = (u128::from(key.get()) * u128::from(self.sets)) >> 64;
        let set = u32::try_from(set).unwrap_or(0);
        self.first.saturating_add(set)
    }

    /// Blocks of cells that a limit has beside the table.
    pub(super) fn cell_blocks(self) -> u32 {
        self.sets.div_ceil(SETS_PER_BLOCK)
    }
}

impl SharedLimit {
    /// `requests` must not be 0: no bucket is needed for that.
    pub(crate) fn new(
        limit: Limit,
        keys: Option<KeyTable>,
        counters: LimitCounters,
        label: Arc<str>,
        queue: Option<Queue>,
    ) -> Self {
        let in_time = u64::from(limit.requests).saturating_mul(LEASE_NS) / limit.unit.nanos();
        let lease = in_time.min((limit.burst / LEASE_SHARE).into()).max(1);
        let bucket = Gcra::new(limit.requests, limit.unit.nanos(), limit.burst);
        let (bucket, lease) = match queue {
            None => (bucket, lease),
            // Who waits waits for its own tokens.
            Some(queue) => {
                let most = queue.max_queued.map_or(u64::MAX, u64::from);
                (bucket.ahead(most, queue.max_delay.as_nanos()), 1)
            }
        };
        Self {
            bucket,
            lease,
            own: UNPLACED,
            keys,
            counters,
            label,
        }
    }

    #[cfg(test)]
    pub(crate) fn lease(&self) -> u64 {
        self.lease
    }

    /// The block that holds the bucket `key`.
    fn home(&self, key: Key) -> BlockId {
        match self.keys {
            None => self.own,
            Some(table) => BlockId(table.set_of(key)),
        }
    }

    /// The block that holds the cells of `key`.
    fn cells(&self, table: KeyTable, key: Key) -> BlockId {
        let set = table.set_of(key).saturating_sub(table.first);
        BlockId(self.own.0.saturating_add(set / SETS_PER_BLOCK))
    }

    #[inline(never)]
    fn level(&self, full_at: Fixed, left: u64, now_ns: u64) -> Level {
        let shared = self.bucket.tokens(full_at, now_ns);
        Level {
            bucket: self.bucket,
            tokens: shared.saturating_add(left).min(self.bucket.burst()),
            wait_ns: 0,
            shared,
            full_at,
            now_ns,
        }
    }
}

impl Level {
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

impl<H: Host> Till<'_, H> {
    /// Takes a place; `false` if there is none.
    pub(crate) fn enter(&mut self, at: PlaceRef) -> bool {
        self.worker
            .enter(self.plan.bounds(), at, self.host, self.out)
    }

    /// Leaves a place.
    pub(crate) fn leave(&mut self, at: PlaceRef) {
        self.worker
            .leave(self.plan.bounds(), at, self.host, self.out);
    }

    /// Takes `cost` tokens. If they are not there: how many nanoseconds it
    /// is until they are, as far as that is known.
    pub(crate) fn take(&mut self, at: BucketRef, cost: u64) -> Result<Level, u64> {
        let limit = self.plan.limits().get(at.limit).ok_or(0_u64)?;
        let mut lease = self.worker.leases.get(at.limit, at.key);
        let mut wait_ns = 0;
        if lease.left < cost {
            if let Some(wait) = self.known_wait(at, cost) {
                return Err(wait);
            }
            wait_ns = self.fetch(limit, &mut lease, cost)?;
        }
        lease.left -= cost;
        let level = Level {
            wait_ns,
            ..limit.level(lease.full_at, lease.left, self.now_ns)
        };
        self.keep(lease);
        Ok(level)
    }

    /// Puts tokens back that were taken for a request that is refused after
    /// all.
    pub(crate) fn give_back(&mut self, at: BucketRef, cost: u64) {
        let Some(limit) = self.plan.limits().get(at.limit) else {
            return;
        };
        let mut lease = self.worker.leases.get(at.limit, at.key);
        lease.left = lease.left.saturating_add(cost);
        if lease.left >= limit.lease {
            self.hand_back(&mut lease);
        }
        self.keep(lease);
    }

    /// How long the wait is, if it is known without asking that there is one.
    pub(crate) fn known_wait(&self, at: BucketRef, cost: u64) -> Option<u64> {
        let lease = self.worker.leases.get(at.limit, at.key);
        let wait = lease.pause_until.saturating_sub(self.now_ns);
        (lease.left < cost && wait > 0).then_some(wait)
    }

    /// Looks whether the tokens are there, and takes none. `Some`: no, and
    /// how long the wait is.
    pub(crate) fn look(&mut self, at: BucketRef, cost: u64) -> Option<u64> {
        let limit = self.plan.limits().get(at.limit)?;
        let mut lease = self.worker.leases.get(at.limit, at.key);
        if lease.left >= cost {
            return None;
        }
        if let Some(wait) = self.known_wait(at, cost) {
            return Some(wait);
        }
        let block = limit.home(at.key);
        self.host.add(limit.counters.operations, 1);
        let peek = |bytes: &mut Vec<u8>| Step::Keep(buckets::peek(bytes, at.key));
        let full_at = self.host.block(block, peek).ok().flatten()?;
        let need = cost - lease.left;
        let short = limit.bucket.take(full_at, self.now_ns, need, need).err()?;
        self.pause(limit, &mut lease, short);
        self.keep(lease);
        Some(short.wait_ns)
    }

    /// How full a bucket is, as far as this worker knows.
    pub(crate) fn level(&self, at: BucketRef) -> Option<Level> {
        let limit = self.plan.limits().get(at.limit)?;
        let lease = self.worker.leases.get(at.limit, at.key);
        Some(limit.level(lease.full_at, lease.left, self.now_ns))
    }

    /// Fetches tokens from the shared bucket until there are `cost`. Gives the
    /// time to wait for them.
    fn fetch(&mut self, limit: &SharedLimit, lease: &mut Lease, cost: u64) -> Result<u64, u64> {
        let least = cost - lease.left;
        let most = least.max(limit.lease);
        match self.ask(limit, lease.key, (least, most)) {
            Ok((Answer::Granted(granted), overflowed)) => {
                let Granted {
                    tokens, full_at, ..
                } = granted;
                lease.left = lease.left.saturating_add(tokens);
                lease.full_at = full_at;
                lease.overflowed = overflowed;
                lease.pause_until = if tokens < most {
                    self.now_ns
                        .saturating_add(limit.bucket.refill_ns(limit.lease))
                } else {
                    0
                };
                Ok(granted.wait_ns)
            }
            Ok((Answer::Short(short), _)) => {
                self.pause(limit, lease, short);
                self.keep(*lease);
                Err(short.wait_ns)
            }
            Ok((Answer::NoRoom | Answer::Inherits(_), _)) => Err(0),
            Err(Contended) => {
                self.host.add(limit.counters.contended, 1);
                Err(0)
            }
        }
    }

    /// Asks the bucket `key`, and what stands in for it if there is no room.
    /// Says whether it was the latter that answered.
    fn ask(
        &mut self,
        limit: &SharedLimit,
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Answer, bool), Contended> {
        if let Some(table) = limit.keys {
            return self.ask_set(limit, table, key, amount);
        }
        let answer = self.ask_own(limit, ROUTES, key, amount)?;
        if answer != Answer::NoRoom {
            return Ok((answer, false));
        }
        self.count_overflow(limit);
        let answer = self.ask_own(limit, ROUTES + 1, Key::OVERFLOW, amount)?;
        Ok((answer, true))
    }

    /// Asks the set of `key`: its slot, or a new one that begins with what
    /// stands in its cells, or those.
    fn ask_set(
        &mut self,
        limit: &SharedLimit,
        table: KeyTable,
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Answer, bool), Contended> {
        let (set, now_ns, bucket) = (limit.home(key), self.now_ns, limit.bucket);
        let mut inherited = None;
        for _ in 0..TRIES {
            let answer = self.block(limit, set, |bytes| {
                buckets::take_in_set(bytes, WAYS, key, bucket, now_ns, amount, inherited)
            })?;
            match answer {
                Answer::Inherits(mark) => {
                    let full_at = self.block(limit, limit.cells(table, key), |bytes| {
                        Step::Keep(overflow::debt(bytes, key, bucket, now_ns))
                    })?;
                    inherited = Some(Inheritance { mark, full_at });
                }
                Answer::NoRoom => return self.overflow(limit, table, key, amount),
                answer => return Ok((answer, false)),
            }
        }
        Err(Contended)
    }

    /// Asks the cells of `key`.
    fn overflow(
        &mut self,
        limit: &SharedLimit,
        table: KeyTable,
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Answer, bool), Contended> {
        self.count_overflow(limit);
        let (set, now_ns, bucket) = (limit.home(key), self.now_ns, limit.bucket);
        let answer = self.block(limit, limit.cells(table, key), |bytes| {
            overflow::take(bytes, key, bucket, now_ns, amount)
        })?;
        let Answer::Granted(granted) = answer else {
            return Ok((answer, true));
        };
        // In this order: whoever gives this client a slot from now on sees
        // what it has taken, and who has done so just now did not.
        if self.block(limit, set, |bytes| {
            buckets::mark(bytes, key, granted.full_at)
        })? {
            return Ok((answer, true));
        }
        let answer = self.block(limit, set, |bytes| {
            buckets::take_in_set(bytes, WAYS, key, bucket, now_ns, amount, None)
        })?;
        Ok((answer, false))
    }

    fn count_overflow(&mut self, limit: &SharedLimit) {
        if self.host.read(limit.counters.overflows) == 0 {
            self.out.push(Action::Log(Arc::clone(&limit.label)));
        }
        self.host.add(limit.counters.overflows, 1);
    }

    fn ask_own(
        &mut self,
        limit: &SharedLimit,
        most_slots: usize,
        key: Key,
        amount: (u64, u64),
    ) -> Result<Answer, Contended> {
        let (now_ns, bucket) = (self.now_ns, limit.bucket);
        self.block(limit, limit.own, |bytes| {
            buckets::take(bytes, most_slots, key, bucket, now_ns, amount)
        })
    }

    fn block<T>(
        &mut self,
        limit: &SharedLimit,
        block: BlockId,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended> {
        self.host.add(limit.counters.operations, 1);
        self.host.block(block, step)
    }

    /// Hands all tokens of a lease back; those that nobody takes stay.
    pub(crate) fn hand_back(&mut self, lease: &mut Lease) {
        let Some(limit) = self.plan.limits().get(lease.limit) else {
            return;
        };
        let key = match (lease.overflowed, limit.keys) {
            (false, _) => lease.key,
            (true, None) => Key::OVERFLOW,
            // What others have taken from the same cells since cannot be told
            // apart: these tokens stay with the worker, or are lost.
            (true, Some(_)) => return,
        };
        let (block, bucket) = (limit.home(lease.key), limit.bucket);
        self.host.add(limit.counters.operations, 1);
        let tokens = lease.left;
        let handed = self.host.block(block, |bytes| {
            if buckets::give_back(bytes, key, bucket, tokens) {
                Step::Write(())
            } else {
                Step::Keep(())
            }
        });
        if handed.is_ok() {
            lease.left = 0;
        }
    }

    fn pause(&self, limit: &SharedLimit, lease: &mut Lease, short: Short) {
        let pause = match limit.lease {
            1 => short.wait_ns,
            lease => short.wait_ns.max(limit.bucket.refill_ns(lease)),
        };
        lease.pause_until = self.now_ns.saturating_add(pause);
        lease.full_at = short.full_at;
    }

    fn keep(&mut self, lease: Lease) {
        if let Some(mut evicted) = self.worker.leases.put(lease, self.now_ns) {
            self.hand_back(&mut evicted);
        }
    }
}
