//! The limiter: takes tokens first from the worker's leases, then from the
//! bucket that all workers share.

use super::buckets::{self, Decision, Inheritance, Key};
use super::gcra::{Admitted, Denied};
use super::in_flight::{ConcurrencyLimit, InFlight, InFlightKey};
use super::leases::{Lease, Leases};
use super::overflow;
use super::token_bucket::{BucketPlace, BucketRef, BucketState, KeyTable, TokenBucket, WAYS};
use crate::decision::Decided;
use crate::event::Event;
use crate::host::Host;
use crate::host::shared_state::{Buckets, BucketsId, CellId, Cells, Contended, OverflowId, Update};
use crate::shared::claims::ClaimTracker;

/// Takes tokens and permits for the rules, for one request.
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

    /// Releases all of these, each of which is there until it is released.
    pub(crate) fn release_all(&mut self, keys: &mut Vec<InFlightKey>) {
        while let Some(key) = keys.last() {
            self.release(*key);
            keys.pop();
        }
    }

    /// Counts a request that found too many in flight.
    pub(crate) fn count_concurrency_limited(&mut self, at: InFlightKey, decided: Decided) {
        if let Some(limit) = self.concurrency_limits.get(at.limit) {
            limit.count_limited(at.class, decided, self.event);
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
        if lease.left >= lease_of::<H>(limit) {
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
        let (now_ns, bucket) = (self.now_ns, limit.bucket);
        let peek = |cell: &mut Buckets| Update::Keep(buckets::peek(cell, at.key, bucket, now_ns));
        let full_at = self
            .update(limit, limit.cell_of(at.key), peek)
            .ok()
            .flatten()?;
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
        let most = least.max(lease_of::<H>(limit));
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
                        .saturating_add(limit.bucket.refill_ns(lease_of::<H>(limit)))
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

    /// Takes tokens from the bucket `key`, or from the overflow bucket if there is no room
    /// for `key`; also returns whether it was the overflow bucket.
    fn ask(
        &mut self,
        limit: &TokenBucket,
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Decision, bool), Contended> {
        let own = match limit.place {
            BucketPlace::OfRoutes(own) => own,
            BucketPlace::OfClients { table, overflow } => {
                return self.ask_set(limit, (table, overflow), key, amount);
            }
        };
        let answer = self.ask_own(limit, own, (key, ROUTES), amount)?;
        if answer != Decision::NoRoom {
            return Ok((answer, false));
        }
        self.count_overflow(limit);
        let answer = self.ask_own(limit, own, (Key::OVERFLOW, ROUTES + 1), amount)?;
        Ok((answer, true))
    }

    /// Asks the set of `key`: its slot, or a new one that begins with what
    /// its counters say, or those.
    fn ask_set(
        &mut self,
        limit: &TokenBucket,
        (table, overflow): (KeyTable, OverflowId),
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Decision, bool), Contended> {
        let (set, counters) = (table.buckets_of(key), table.overflow_of(overflow, key));
        let (now_ns, bucket) = (self.now_ns, limit.bucket);
        let mut inherited = None;
        for _ in 0..TRIES {
            let answer = self.update(limit, set, |cell| {
                buckets::take_in_set(cell, WAYS, key, bucket, now_ns, amount, inherited)
            })?;
            match answer {
                Decision::Inherits(mark) => {
                    let full_at = self.update(limit, counters, |cells| {
                        Update::Keep(overflow::debt(cells, key, bucket, now_ns))
                    })?;
                    inherited = Some(Inheritance { mark, full_at });
                }
                Decision::NoRoom => return self.overflow(limit, (table, overflow), key, amount),
                answer => return Ok((answer, false)),
            }
        }
        Err(Contended)
    }

    /// Asks the counters of `key`.
    fn overflow(
        &mut self,
        limit: &TokenBucket,
        (table, overflow): (KeyTable, OverflowId),
        key: Key,
        amount: (u64, u64),
    ) -> Result<(Decision, bool), Contended> {
        self.count_overflow(limit);
        let (set, counters) = (table.buckets_of(key), table.overflow_of(overflow, key));
        let (now_ns, bucket) = (self.now_ns, limit.bucket);
        let answer = self.update(limit, counters, |cells| {
            overflow::take(cells, key, bucket, now_ns, amount)
        })?;
        let Decision::Admitted(admitted) = answer else {
            return Ok((answer, true));
        };
        // In this order: whoever gives this client a slot from now on sees
        // what it has taken, and who has done so just now did not.
        if self.update(limit, set, |cell| {
            buckets::mark(cell, key, admitted.full_at)
        })? {
            return Ok((answer, true));
        }
        let answer = self.update(limit, set, |cell| {
            buckets::take_in_set(cell, WAYS, key, bucket, now_ns, amount, None)
        })?;
        Ok((answer, false))
    }

    /// Counts a bucket for which there is no room; the first is logged.
    fn count_overflow(&mut self, limit: &TokenBucket) {
        if self.event.host.is_first(limit.counters.overflows) {
            self.event.log(&limit.overflow_warning);
        }
        self.event.host.add(limit.counters.overflows, 1);
    }

    fn ask_own(
        &mut self,
        limit: &TokenBucket,
        own: BucketsId,
        (key, most_slots): (Key, usize),
        amount: (u64, u64),
    ) -> Result<Decision, Contended> {
        let (now_ns, bucket) = (self.now_ns, limit.bucket);
        self.update(limit, own, |cell| {
            buckets::take(cell, most_slots, key, bucket, now_ns, amount)
        })
    }

    fn update<I: CellId, T>(
        &mut self,
        limit: &TokenBucket,
        id: I,
        step: impl FnMut(&mut I::Cell) -> Update<T>,
    ) -> Result<T, Contended>
    where
        H: Cells<I>,
    {
        limit.counters.count_operation(self.event.host);
        self.event.host.update(id, step)
    }

    /// Gives all tokens of a lease back; those that are not accepted stay.
    pub(crate) fn hand_back(&mut self, lease: &mut Lease) {
        let Some(limit) = self.limits.get(lease.limit) else {
            return;
        };
        let key = match (lease.overflowed, limit.place) {
            (false, _) => lease.key,
            (true, BucketPlace::OfRoutes(_)) => Key::OVERFLOW,
            // What others have taken from the same counters since cannot be told
            // apart: these tokens stay with the worker, or are lost.
            (true, BucketPlace::OfClients { .. }) => return,
        };
        let (bucket, tokens) = (limit.bucket, lease.left);
        let handed = self.update(limit, limit.cell_of(lease.key), |cell| {
            if buckets::give_back(cell, key, bucket, tokens) {
                Update::Write(())
            } else {
                Update::Keep(())
            }
        });
        if handed.is_ok() {
            lease.left = 0;
        }
    }

    /// Remembers a refusal. Where tokens are fetched by leases, it lasts until a whole
    /// lease has come back, so that the worker does not fetch one token at a time.
    fn deny_until(&self, limit: &TokenBucket, lease: &mut Lease, denied: Denied) {
        let wait = match lease_of::<H>(limit) {
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

/// Tokens that are fetched at a time.
fn lease_of<H: Host>(limit: &TokenBucket) -> u64 {
    if H::LEASES { limit.lease } else { 1 }
}
