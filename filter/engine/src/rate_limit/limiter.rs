//! The limiter: takes tokens first from the worker's leases, then from the
//! bucket that all workers share.

use std::sync::Arc;

use super::buckets::{self, Decision, Inheritance, Key};
use super::gcra::{Admitted, Denied};
use super::in_flight::{ConcurrencyLimit, InFlight, InFlightKey};
use super::leases::{Lease, Leases};
use super::overflow;
use super::token_bucket::{BucketRef, BucketState, KeyTable, TokenBucket, WAYS};
use crate::action::Action;
use crate::event::Event;
use crate::host::Host;
use crate::host::values::{BlockId, Contended, Step};
use crate::shared::claims::ClaimTracker;

/// What the rules take tokens and permits with, for one request.
#[derive(Debug)]
pub(crate) struct Limiter<'a, 'e, H> {
    /// The limits of the plan.
    pub(crate) limits: &'a [TokenBucket],
    pub(crate) concurrency_limits: &'a [ConcurrencyLimit],
    /// What the worker holds of them.
    pub(crate) leases: &'a mut Leases,
    pub(crate) in_flight: &'a mut InFlight,
    pub(crate) claims: &'a mut ClaimTracker,
    pub(crate) now_ns: u64,
    pub(crate) event: &'a mut Event<'e, H>,
}

/// Buckets that a rule has for routes; further routes share one.
const ROUTES: usize = 256;
/// A set may be marked so often while its newcomer's debt is looked up.
const TRIES: usize = 8;

impl<H: Host> Limiter<'_, '_, H> {
    /// Acquires a permit for a request in flight; `false` if there is none.
    pub(crate) fn acquire(&mut self, at: InFlightKey) -> bool {
        self.concurrency_limits
            .get(at.limit)
            .is_some_and(|limit| self.in_flight.acquire(at, limit, self.claims, self.event))
    }

    /// Releases a permit.
    pub(crate) fn release(&mut self, at: InFlightKey) {
        if let Some(limit) = self.concurrency_limits.get(at.limit) {
            self.in_flight.release(at, limit, self.claims, self.event);
        }
    }

    /// Counts a request that found too many in flight.
    pub(crate) fn count_concurrency_limited(&mut self, at: InFlightKey) {
        if let Some(limit) = self.concurrency_limits.get(at.limit) {
            self.event.count(limit.concurrency_limited);
        }
    }

    /// Takes `cost` tokens. If they are not there: how many nanoseconds it
    /// is until they are, as far as that is known.
    pub(crate) fn take(&mut self, at: BucketRef, cost: u64) -> Result<BucketState, u64> {
        let limit = self.limits.get(at.limit).ok_or(0_u64)?;
        let mut lease = self.leases.get(at.limit, at.key);
        let mut wait_ns = 0;
        if lease.left < cost {
            if let Some(wait) = self.cached_denial(at, cost) {
                return Err(wait);
            }
            wait_ns = self.fetch(limit, &mut lease, cost)?;
        }
        lease.left -= cost;
        let mut state = limit.state(lease.full_at, lease.left, self.now_ns);
        state.wait_ns = wait_ns;
        self.keep(lease);
        Ok(state)
    }

    /// Puts tokens back that were taken for a request that is refused after
    /// all.
    pub(crate) fn give_back(&mut self, at: BucketRef, cost: u64) {
        let Some(limit) = self.limits.get(at.limit) else {
            return;
        };
        let mut lease = self.leases.get(at.limit, at.key);
        lease.left = lease.left.saturating_add(cost);
        // More than a lease would keep tokens from the other workers.
        if lease.left >= limit.lease {
            self.hand_back(&mut lease);
        }
        self.keep(lease);
    }

    /// How long the wait is, if this worker remembers that the tokens are not
    /// there yet.
    pub(crate) fn cached_denial(&self, at: BucketRef, cost: u64) -> Option<u64> {
        let lease = self.leases.get(at.limit, at.key);
        let wait = lease.deny_until.saturating_sub(self.now_ns);
        (lease.left < cost && wait > 0).then_some(wait)
    }

    /// Whether the tokens are there; takes none. `Some`: they are not, and how
    /// long the wait is.
    pub(crate) fn peek(&mut self, at: BucketRef, cost: u64) -> Option<u64> {
        let limit = self.limits.get(at.limit)?;
        let mut lease = self.leases.get(at.limit, at.key);
        if lease.left >= cost {
            return None;
        }
        if let Some(wait) = self.cached_denial(at, cost) {
            return Some(wait);
        }
        let block = limit.home(at.key);
        self.event.host.add(limit.counters.operations, 1);
        let peek = |bytes: &mut Vec<u8>| Step::Keep(buckets::peek(bytes, at.key));
        let full_at = self.event.host.block(block, peek).ok().flatten()?;
        let need = cost - lease.left;
        let denied = limit.bucket.take(full_at, self.now_ns, need, need).err()?;
        self.deny_until(limit, &mut lease, denied);
        self.keep(lease);
        Some(denied.wait_ns)
    }

    /// The state of a bucket, as far as this worker knows.
    pub(crate) fn state(&self, at: BucketRef) -> Option<BucketState> {
        let limit = self.limits.get(at.limit)?;
        let lease = self.leases.get(at.limit, at.key);
        Some(limit.state(lease.full_at, lease.left, self.now_ns))
    }

    /// Fetches tokens from the shared bucket until there are `cost`. Gives the
    /// time to wait for them.
    fn fetch(&mut self, limit: &TokenBucket, lease: &mut Lease, cost: u64) -> Result<u64, u64> {
        let least = cost - lease.left;
        let most = least.max(limit.lease);
        match self.ask(limit, lease.key, (least, most)) {
            Ok((Decision::Admitted(admitted), overflowed)) => {
                let Admitted {
                    tokens, full_at, ..
                } = admitted;
                lease.left = lease.left.saturating_add(tokens);
                lease.full_at = full_at;
                lease.overflowed = overflowed;
                // A part of a lease means that the bucket is empty now.
                lease.deny_until = if tokens < most {
                    self.now_ns
                        .saturating_add(limit.bucket.refill_ns(limit.lease))
                } else {
                    0
                };
                Ok(admitted.wait_ns)
            }
            Ok((Decision::Denied(denied), _)) => {
                self.deny_until(limit, lease, denied);
                self.keep(*lease);
                Err(denied.wait_ns)
            }
            // Not reached: who finds no room asks what stands in for it, and a
            // debt that is inherited is asked for.
            Ok((Decision::NoRoom | Decision::Inherits(_), _)) => Err(0),
            // Nobody knows how many tokens there are: the request is refused, as
            // whoever may not know must not admit.
            Err(Contended) => {
                self.event.host.add(limit.counters.contended, 1);
                Err(0)
            }
        }
    }

    /// Asks the bucket `key`, or what stands in for it if there is no room for
    /// it; whether it was the latter that answered.
    fn ask(
        &mut self,
        limit: &TokenBucket,
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Decision, bool), Contended> {
        if let Some(table) = limit.keys {
            return self.ask_set(limit, table, key, amount);
        }
        let answer = self.ask_own(limit, ROUTES, key, amount)?;
        if answer != Decision::NoRoom {
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
        limit: &TokenBucket,
        table: KeyTable,
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Decision, bool), Contended> {
        let (set, now_ns, bucket) = (limit.home(key), self.now_ns, limit.bucket);
        let mut inherited = None;
        for _ in 0..TRIES {
            let answer = self.block(limit, set, |bytes| {
                buckets::take_in_set(bytes, WAYS, key, bucket, now_ns, amount, inherited)
            })?;
            match answer {
                Decision::Inherits(mark) => {
                    let full_at = self.block(limit, limit.cells(table, key), |bytes| {
                        Step::Keep(overflow::debt(bytes, key, bucket, now_ns))
                    })?;
                    inherited = Some(Inheritance { mark, full_at });
                }
                Decision::NoRoom => return self.overflow(limit, table, key, amount),
                answer => return Ok((answer, false)),
            }
        }
        Err(Contended)
    }

    /// Asks the cells of `key`.
    fn overflow(
        &mut self,
        limit: &TokenBucket,
        table: KeyTable,
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Decision, bool), Contended> {
        self.count_overflow(limit);
        let (set, now_ns, bucket) = (limit.home(key), self.now_ns, limit.bucket);
        let answer = self.block(limit, limit.cells(table, key), |bytes| {
            overflow::take(bytes, key, bucket, now_ns, amount)
        })?;
        let Decision::Admitted(admitted) = answer else {
            return Ok((answer, true));
        };
        // In this order: whoever gives this client a slot from now on sees
        // what it has taken, and who has done so just now did not.
        if self.block(limit, set, |bytes| {
            buckets::mark(bytes, key, admitted.full_at)
        })? {
            return Ok((answer, true));
        }
        let answer = self.block(limit, set, |bytes| {
            buckets::take_in_set(bytes, WAYS, key, bucket, now_ns, amount, None)
        })?;
        Ok((answer, false))
    }

    /// Counts a bucket for which there is no room; the first is logged.
    fn count_overflow(&mut self, limit: &TokenBucket) {
        if self.event.host.read(limit.counters.overflows) == 0 {
            self.event.out.push(Action::Log(Arc::clone(&limit.label)));
        }
        self.event.host.add(limit.counters.overflows, 1);
    }

    fn ask_own(
        &mut self,
        limit: &TokenBucket,
        most_slots: usize,
        key: Key,
        amount: (u64, u64),
    ) -> Result<Decision, Contended> {
        let (now_ns, bucket) = (self.now_ns, limit.bucket);
        self.block(limit, limit.own, |bytes| {
            buckets::take(bytes, most_slots, key, bucket, now_ns, amount)
        })
    }

    fn block<T>(
        &mut self,
        limit: &TokenBucket,
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

    /// Remembers a refusal: until a whole lease has come back where tokens are
    /// fetched by leases, so that the bucket is not asked for one token at a time.
    fn deny_until(&self, limit: &TokenBucket, lease: &mut Lease, denied: Denied) {
        let wait = match limit.lease {
            1 => denied.wait_ns,
            lease => denied.wait_ns.max(limit.bucket.refill_ns(lease)),
        };
        lease.deny_until = self.now_ns.saturating_add(wait);
        lease.full_at = denied.full_at;
    }

    /// Remembers a lease. Another one may have to go for it.
    fn keep(&mut self, lease: Lease) {
        if let Some(mut evicted) = self.leases.put(lease, self.now_ns) {
            self.hand_back(&mut evicted);
        }
    }
}
