//! `concurrency`: how many requests of a rule are in flight at once.
//!
//! It is a semaphore: a permit is acquired when a request comes, and released
//! when its exchange ends, however it ends. All workers take permits from one
//! quota. A worker takes several permits of a large limit at a time, keeps some of
//! those that its requests release, and gives them back when no more have come for
//! a while, and when another configuration replaces its own.
//!
//! With classes a permit is also one of those reserved for its class, or of those that
//! nobody reserves ([`crate::shared::classes`]). Then it takes them one by one: what a
//! worker took ahead for one class would be missing from another's reserve.

use hashbrown::HashMap;

use super::buckets::Key;
use super::token_bucket::{KeyTable, LimitCounters, OVERFLOW_FACTOR};
use crate::decision::{Decided, Value};
use crate::event::{Event, LogMessage};
use crate::host::Host;
use crate::host::metrics::{CounterId, GaugeId};
use crate::host::shared_state::{Owner, QuotaId};
use crate::shared::claims::ClaimTracker;
use crate::shared::classes::{Class, ClassShare, Reserves};
use crate::shared::quota::{Change, ClaimOutcome, Quota, WORKERS};
use crate::shared::reaper::QuotaTable;

/// The limit of one rule.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    pub(super) max: u64,
    pub(super) reserves: Reserves,
    /// The rule's own: the permits of routes, or of clients for whom there was no
    /// room.
    pub(super) own: QuotaId,
    /// Where the permits of `Distinct` values are.
    pub(super) keys: Option<KeyTable>,
    /// The permits that are taken.
    pub(super) gauge: GaugeId,
    /// Tells them from other rules' where they are kept together.
    pub(super) owner: Owner,
    pub(super) counters: LimitCounters,
    /// Counts requests that got no permit.
    pub(super) concurrency_limited: CounterId,
    /// Counts those of each class, if there are classes.
    pub(super) class_limited: Vec<CounterId>,
    /// What the operator is told when there is no room for a key.
    pub(super) overflow_warning: LogMessage,
}

/// Names the permits of one limit and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InFlightKey {
    /// Index into the plan's limits on requests in flight.
    pub(crate) limit: usize,
    pub(crate) key: Key,
    pub(crate) class: Class,
}

/// The permits that a worker has.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    shares: HashMap<InFlightKey, Share>,
    /// No more requests are expected: nothing is kept for them.
    retired: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// Requests in flight.
    used: u64,
    /// Permits that are taken for them, and ahead.
    taken: u64,
    /// They were taken from those for whom there was no room.
    overflowed: bool,
    /// A request has come since the last heartbeat.
    fresh: bool,
}

/// Slots of a rule's own, one for each route and worker; and in one of the sets
/// of `Distinct` values.
const OWN_SLOTS: usize = 1024;
const SET_SLOTS: usize = 64;
/// Permits are taken ahead up to this part of the limit.
const LEASE_SHARE: u64 = 64;

impl ConcurrencyLimit {
    /// Permits that a worker takes at a time. Those of clients are taken one by
    /// one: no slot is kept for a client that is not there.
    fn lease<H: Host>(&self) -> u64 {
        match self.keys {
            None if H::LEASES && self.class_limited.is_empty() => (self.max / LEASE_SHARE).max(1),
            _ => 1,
        }
    }

    fn quota(&self, at: InFlightKey) -> Quota {
        let (id, slots) = match self.keys {
            None => (self.own, OWN_SLOTS),
            Some(table) => (QuotaId::Shared(table.set_of(at.key)), SET_SLOTS),
        };
        Quota {
            id,
            max: self.max,
            slots,
            owner: self.keys.map(|_| self.owner),
            share: Some(ClassShare {
                class: at.class,
                reserves: self.reserves,
            }),
        }
    }

    fn overflow_quota(&self, class: Class) -> Quota {
        let factor = self.keys.map_or(1, |_| u64::from(OVERFLOW_FACTOR));
        Quota {
            id: self.own,
            max: self.max.saturating_mul(factor),
            slots: OWN_SLOTS + WORKERS,
            owner: None,
            share: Some(ClassShare {
                class,
                reserves: self.reserves.times(factor),
            }),
        }
    }

    /// Counts a request that got no permit.
    pub(super) fn count_limited<H: Host>(
        &self,
        class: Class,
        decided: Decided,
        event: &mut Event<'_, H>,
    ) {
        event.count(self.concurrency_limited);
        let of_class = class
            .place()
            .and_then(|place| self.class_limited.get(place));
        if let Some(counter) = of_class {
            event.count(*counter);
        }
        // The labels of a class say which one it is.
        let counter = *of_class.unwrap_or(&self.concurrency_limited);
        event.note(counter, decided, Value::None);
    }

    /// Where its permits are kept.
    pub(crate) fn quota_tables(&self) -> impl Iterator<Item = QuotaTable> + use<> {
        let keys = self.keys.map(|table| QuotaTable::Shared(table.sets));
        [QuotaTable::Own(self.own, self.gauge)]
            .into_iter()
            .chain(keys)
    }

    /// The gauge of its permits among those of other rules.
    pub(crate) fn gauge(&self) -> (Owner, GaugeId) {
        (self.owner, self.gauge)
    }
}

impl InFlight {
    /// Acquires a permit; `false` if there is none.
    pub(crate) fn acquire<H: Host>(
        &mut self,
        at: InFlightKey,
        limit: &ConcurrencyLimit,
        claims: &mut ClaimTracker,
        event: &mut Event<'_, H>,
    ) -> bool {
        let known = self.shares.get(&at).copied();
        let mut share = known.unwrap_or_default();
        if share.used == share.taken {
            share.taken += fetch(limit, at, &mut share.overflowed, claims, event);
        }
        // The quota had none left.
        if share.used == share.taken {
            return false;
        }
        share.used += 1;
        share.fresh = true;
        self.retired = false;
        self.shares.insert(at, share);
        true
    }

    /// Releases a permit.
    pub(crate) fn release<H: Host>(
        &mut self,
        at: InFlightKey,
        limit: &ConcurrencyLimit,
        claims: &mut ClaimTracker,
        event: &mut Event<'_, H>,
    ) {
        let Some(share) = self.shares.get_mut(&at) else {
            return;
        };
        let used = share.used.saturating_sub(1);
        let spare = share.taken.saturating_sub(used);
        let lease = if self.retired { 1 } else { limit.lease::<H>() };
        if spare >= lease {
            // Half of what is taken at a time stays, so that one request that comes
            // and goes does not ask the quota each time.
            let back = spare - lease / 2;
            give_back(limit, at, share.overflowed, back, claims, event);
            share.taken -= back;
        }
        share.used = used;
        if share.taken == 0 {
            self.shares.remove(&at);
        }
    }

    /// Gives back what was taken ahead where nothing is in flight, or nothing
    /// has come since the last time.
    pub(crate) fn settle<H: Host>(
        &mut self,
        limits: &[ConcurrencyLimit],
        claims: &mut ClaimTracker,
        event: &mut Event<'_, H>,
    ) {
        self.shares.retain(|at, share| {
            if share.used == 0 || !share.fresh {
                give_back_spare(share, *at, limits, claims, event);
            }
            share.fresh = false;
            share.taken > 0
        });
    }

    /// Gives back all that was taken ahead, and keeps nothing any more.
    pub(crate) fn retire<H: Host>(
        &mut self,
        limits: &[ConcurrencyLimit],
        claims: &mut ClaimTracker,
        event: &mut Event<'_, H>,
    ) {
        self.retired = true;
        self.shares.retain(|at, share| {
            give_back_spare(share, *at, limits, claims, event);
            share.taken > 0
        });
    }
}

fn give_back_spare<H: Host>(
    share: &mut Share,
    at: InFlightKey,
    limits: &[ConcurrencyLimit],
    claims: &mut ClaimTracker,
    event: &mut Event<'_, H>,
) {
    let spare = share.taken.saturating_sub(share.used);
    if let (Some(limit), true) = (limits.get(at.limit), spare > 0) {
        give_back(limit, at, share.overflowed, spare, claims, event);
        share.taken = share.used;
    }
}

/// Gives so many permits back.
fn give_back<H: Host>(
    limit: &ConcurrencyLimit,
    at: InFlightKey,
    overflowed: bool,
    back: u64,
    claims: &mut ClaimTracker,
    event: &mut Event<'_, H>,
) {
    let (quota, key) = if overflowed {
        (limit.overflow_quota(at.class), Key::OVERFLOW)
    } else {
        (limit.quota(at), at.key)
    };
    limit.counters.count_operation(event.host);
    let by = claims.give_back(quota, key.get(), back, event.host);
    event.adjust(limit.gauge, by);
}

/// Takes one permit, or several of a large limit; gives how many it got.
fn fetch<H: Host>(
    limit: &ConcurrencyLimit,
    at: InFlightKey,
    overflowed: &mut bool,
    claims: &mut ClaimTracker,
    event: &mut Event<'_, H>,
) -> u64 {
    let mut ask = |quota: Quota, key: Key, event: &mut Event<'_, H>| -> Change {
        limit.counters.count_operation(event.host);
        let change = claims.take(quota, key.get(), (1, limit.lease::<H>()), event);
        event.adjust(limit.gauge, change.by);
        change
    };
    let mut change = Change::default();
    if !*overflowed {
        change = ask(limit.quota(at), at.key, event);
        *overflowed = change.outcome == ClaimOutcome::NoRoom;
    }
    if *overflowed {
        if event.host.is_first(limit.counters.overflows) {
            event.log(&limit.overflow_warning);
        }
        event.host.add(limit.counters.overflows, 1);
        change = ask(limit.overflow_quota(at.class), Key::OVERFLOW, event);
    }
    if change.outcome == ClaimOutcome::Contended {
        event.host.add(limit.counters.contended, 1);
    }
    change.taken
}

#[cfg(test)]
mod tests;
