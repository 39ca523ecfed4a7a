//! The limiter: takes tokens first from the worker's leases, then from the
//! bucket that all workers share.

use std::sync::Arc;

use super::buckets::{self, Answer, Inheritance, Key};
use super::gcra::{Granted, Short};
use super::in_flight::{Concurrency, PlaceRef, Places};
use super::leases::{Lease, Leases};
use super::overflow;
use super::token_bucket::{BucketRef, KeyTable, Level, SharedLimit, WAYS};
use crate::action::Action;
use crate::event::Event;
use crate::host::Host;
use crate::host::values::{BlockId, Contended, Step};
use crate::shared::claims::Holder;

/// Takes tokens for one request.
#[derive(Debug)]
pub(crate) struct Till<'a, 'e, H> {
    /// Those of the plan.
    pub(crate) limits: &'a [SharedLimit],
    pub(crate) bounds: &'a [Concurrency],
    /// What the worker holds of them.
    pub(crate) leases: &'a mut Leases,
    pub(crate) places: &'a mut Places,
    pub(crate) holder: &'a mut Holder,
    pub(crate) now_ns: u64,
    pub(crate) event: &'a mut Event<'e, H>,
}

/// Buckets that a rule has for routes; further routes share one.
const ROUTES: usize = 256;
/// A set may be marked so often while its newcomer's debt is looked up.
const TRIES: usize = 8;
impl<H: Host> Till<'_, '_, H> {
    /// Takes a place; `false` if there is none.
    pub(crate) fn enter(&mut self, at: PlaceRef) -> bool {
        self.bounds
            .get(at.bound)
            .is_some_and(|bound| self.places.enter(at, bound, self.holder, self.event))
    }

    /// Leaves a place.
    pub(crate) fn leave(&mut self, at: PlaceRef) {
        if let Some(bound) = self.bounds.get(at.bound) {
            self.places.leave(at, bound, self.holder, self.event);
        }
    }

    /// Takes `cost` tokens. If they are not there: how many nanoseconds it
    /// is until they are, as far as that is known.
    pub(crate) fn take(&mut self, at: BucketRef, cost: u64) -> Result<Level, u64> {
        let limit = self.limits.get(at.limit).ok_or(0_u64)?;
        let mut lease = self.leases.get(at.limit, at.key);
        let mut wait_ns = 0;
        if lease.left < cost {
            if let Some(wait) = self.known_wait(at, cost) {
                return Err(wait);
            }
            wait_ns = self.fetch(limit, &mut lease, cost)?;
        }
        lease.left -= cost;
        let mut level = limit.level(lease.full_at, lease.left, self.now_ns);
        level.wait_ns = wait_ns;
        self.keep(lease);
        Ok(level)
    }

    /// Puts tokens back that were taken for a request that is refused after
    /// all.
    pub(crate) fn give_back(&mut self, at: BucketRef, cost: u64) {
        let Some(limit) = self.limits.get(at.limit) else {
            return;
        };
        let mut lease = self.leases.get(at.limit, at.key);
        lease.left = lease.left.saturating_add(cost);
        if lease.left >= limit.lease {
            self.hand_back(&mut lease);
        }
        self.keep(lease);
    }

    /// How long the wait is, if it is known without asking that there is one.
    pub(crate) fn known_wait(&self, at: BucketRef, cost: u64) -> Option<u64> {
        let lease = self.leases.get(at.limit, at.key);
        let wait = lease.pause_until.saturating_sub(self.now_ns);
        (lease.left < cost && wait > 0).then_some(wait)
    }

    /// Looks whether the tokens are there, and takes none. `Some`: no, and
    /// how long the wait is.
    pub(crate) fn look(&mut self, at: BucketRef, cost: u64) -> Option<u64> {
        let limit = self.limits.get(at.limit)?;
        let mut lease = self.leases.get(at.limit, at.key);
        if lease.left >= cost {
            return None;
        }
        if let Some(wait) = self.known_wait(at, cost) {
            return Some(wait);
        }
        let block = limit.home(at.key);
        self.event.host.add(limit.counters.operations, 1);
        let peek = |bytes: &mut Vec<u8>| Step::Keep(buckets::peek(bytes, at.key));
        let full_at = self.event.host.block(block, peek).ok().flatten()?;
        let need = cost - lease.left;
        let short = limit.bucket.take(full_at, self.now_ns, need, need).err()?;
        self.pause(limit, &mut lease, short);
        self.keep(lease);
        Some(short.wait_ns)
    }

    /// How full a bucket is, as far as this worker knows.
    pub(crate) fn level(&self, at: BucketRef) -> Option<Level> {
        let limit = self.limits.get(at.limit)?;
        let lease = self.leases.get(at.limit, at.key);
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
                self.event.host.add(limit.counters.contended, 1);
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
        if self.event.host.read(limit.counters.overflows) == 0 {
            self.event.out.push(Action::Log(Arc::clone(&limit.label)));
        }
        self.event.host.add(limit.counters.overflows, 1);
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
        self.event.host.add(limit.counters.operations, 1);
        self.event.host.block(block, step)
    }

    /// Hands all tokens of a lease back; those that nobody takes stay.
    pub(crate) fn hand_back(&mut self, lease: &mut Lease) {
        let Some(limit) = self.limits.get(lease.limit) else {
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
        self.event.host.add(limit.counters.operations, 1);
        let tokens = lease.left;
        let handed = self.event.host.block(block, |bytes| {
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
        if let Some(mut evicted) = self.leases.put(lease, self.now_ns) {
            self.hand_back(&mut evicted);
        }
    }
}
