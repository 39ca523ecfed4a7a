//! `concurrency`: how many requests of a rule are in flight at once.
//!
//! A place is taken when a request comes, and left when its exchange ends,
//! however it ends. All workers take theirs from one pool. A worker takes
//! several places of a large bound at a time, keeps some of those that its
//! requests leave, and gives them back when no more have come for a while, and
//! when another configuration takes its own's place.

use std::sync::Arc;

use hashbrown::HashMap;

use super::buckets::Key;
use super::token_bucket::{KeyTable, LimitCounters, OVERFLOW_FACTOR};
use crate::action::Action;
use crate::event::Event;
use crate::host::Host;
use crate::host::metrics::{CounterId, GaugeId};
use crate::host::values::TableId;
use crate::shared::claims::Holder;
use crate::shared::quota::{Answer, Change, Owner, Pool, WORKERS};
use crate::shared::reaper::Kept;

/// The bound of one rule.
#[derive(Debug)]
pub(crate) struct Concurrency {
    pub(super) most: u64,
    /// The table of the rule's own: the places of routes, or of those for
    /// whom there was no room.
    pub(super) own: TableId,
    /// Where the places of `Distinct` values are.
    pub(super) keys: Option<KeyTable>,
    /// The places that are taken.
    pub(super) gauge: GaugeId,
    /// Tells them from other rules' where they share tables.
    pub(super) owner: Owner,
    pub(super) counters: LimitCounters,
    /// Counts requests that found no place.
    pub(super) crowded: CounterId,
    /// What the operator is told when there is no room for a key.
    pub(super) label: Arc<str>,
}

/// Names one bound's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlaceRef {
    /// Index into the plan's bounds.
    pub(crate) bound: usize,
    pub(crate) key: Key,
}

/// A worker's places.
#[derive(Debug, Default)]
pub(crate) struct Places {
    shares: HashMap<PlaceRef, Share>,
    /// No more requests are expected: nothing is kept for them.
    retired: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// Requests in flight.
    used: u64,
    /// Places that are taken for them, and ahead.
    taken: u64,
    /// They were taken from those for whom there was no room.
    overflowed: bool,
    /// A request has come since the last beat.
    fresh: bool,
}

/// Places in the table of a rule, one for each route and worker; and in one
/// of the tables of `Distinct` values.
const OWN_SLOTS: usize = 1024;
const SET_SLOTS: usize = 64;
/// Places are taken ahead up to this part of the bound.
const LEASE_SHARE: u64 = 64;

impl Concurrency {
    /// Places that a worker takes at a time. Those of clients are taken one by
    /// one: nobody keeps a slot for who is not there.
    fn lease(&self) -> u64 {
        match self.keys {
            None => (self.most / LEASE_SHARE).max(1),
            Some(_) => 1,
        }
    }

    fn pool(&self, key: Key) -> Pool {
        let (table, slots) = match self.keys {
            None => (self.own, OWN_SLOTS),
            Some(table) => (TableId(table.set_of(key)), SET_SLOTS),
        };
        Pool {
            table,
            most: self.most,
            slots,
            owner: self.keys.map(|_| self.owner),
        }
    }

    fn overflow_pool(&self) -> Pool {
        let factor = self.keys.map_or(1, |_| u64::from(OVERFLOW_FACTOR));
        Pool {
            table: self.own,
            most: self.most.saturating_mul(factor),
            slots: OWN_SLOTS + WORKERS,
            owner: None,
        }
    }

    /// Where its places are kept.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Kept> + use<> {
        let keys = self.keys.map(|KeyTable { first, sets }| Kept::Together {
            first: TableId(first),
            count: sets,
        });
        [Kept::Alone(self.own, self.gauge)].into_iter().chain(keys)
    }

    /// The gauge of its places among those of other rules.
    pub(crate) fn gauge(&self) -> (Owner, GaugeId) {
        (self.owner, self.gauge)
    }
}

impl Places {
    /// Takes a place; `false` if there is none.
    pub(crate) fn enter<H: Host>(
        &mut self,
        at: PlaceRef,
        bound: &Concurrency,
        holder: &mut Holder,
        event: &mut Event<'_, H>,
    ) -> bool {
        let known = self.shares.get(&at).copied();
        let mut share = known.unwrap_or_default();
        if share.used == share.taken {
            share.taken += fetch(bound, at.key, &mut share.overflowed, holder, event);
        }
        if share.used == share.taken {
            return false;
        }
        share.used += 1;
        share.fresh = true;
        self.retired = false;
        self.shares.insert(at, share);
        true
    }

    /// Leaves a place.
    pub(crate) fn leave<H: Host>(
        &mut self,
        at: PlaceRef,
        bound: &Concurrency,
        holder: &mut Holder,
        event: &mut Event<'_, H>,
    ) {
        let Some(share) = self.shares.get_mut(&at) else {
            return;
        };
        share.used = share.used.saturating_sub(1);
        let spare = share.taken.saturating_sub(share.used);
        let lease = if self.retired { 1 } else { bound.lease() };
        if spare < lease {
            return;
        }
        let back = spare - lease / 2;
        share.taken -= back;
        let overflowed = share.overflowed;
        if share.taken == 0 {
            self.shares.remove(&at);
        }
        give_back(bound, at.key, overflowed, back, holder, event);
    }

    /// Gives back what was taken ahead where nothing is in flight, or nothing
    /// has come since the last time.
    pub(crate) fn settle<H: Host>(
        &mut self,
        bounds: &[Concurrency],
        holder: &mut Holder,
        event: &mut Event<'_, H>,
    ) {
        self.shares.retain(|at, share| {
            if share.used == 0 || !share.fresh {
                give_back_spare(share, *at, bounds, holder, event);
            }
            share.fresh = false;
            share.taken > 0
        });
    }

    /// Gives back all that was taken ahead, and keeps nothing any more.
    pub(crate) fn retire<H: Host>(
        &mut self,
        bounds: &[Concurrency],
        holder: &mut Holder,
        event: &mut Event<'_, H>,
    ) {
        self.retired = true;
        self.shares.retain(|at, share| {
            give_back_spare(share, *at, bounds, holder, event);
            share.taken > 0
        });
    }
}

fn give_back_spare<H: Host>(
    share: &mut Share,
    at: PlaceRef,
    bounds: &[Concurrency],
    holder: &mut Holder,
    event: &mut Event<'_, H>,
) {
    let spare = share.taken.saturating_sub(share.used);
    if let (Some(bound), true) = (bounds.get(at.bound), spare > 0) {
        give_back(bound, at.key, share.overflowed, spare, holder, event);
        share.taken = share.used;
    }
}

/// Gives so many places back.
fn give_back<H: Host>(
    bound: &Concurrency,
    key: Key,
    overflowed: bool,
    back: u64,
    holder: &mut Holder,
    event: &mut Event<'_, H>,
) {
    let (pool, key) = if overflowed {
        (bound.overflow_pool(), Key::OVERFLOW)
    } else {
        (bound.pool(key), key)
    };
    event.host.add(bound.counters.operations, 1);
    let by = holder.give_back(pool, key.get(), back, event.host);
    event.adjust(bound.gauge, by);
}

/// Takes one place, or several of a large bound; gives how many it got.
fn fetch<H: Host>(
    bound: &Concurrency,
    key: Key,
    overflowed: &mut bool,
    holder: &mut Holder,
    event: &mut Event<'_, H>,
) -> u64 {
    let mut ask = |pool: Pool, key: Key, event: &mut Event<'_, H>| -> Change {
        event.host.add(bound.counters.operations, 1);
        let change = holder.take(pool, key.get(), (1, bound.lease()), event);
        event.adjust(bound.gauge, change.by);
        change
    };
    let mut change = Change::default();
    if !*overflowed {
        change = ask(bound.pool(key), key, event);
        *overflowed = change.answer == Answer::NoRoom;
    }
    if *overflowed {
        if event.host.read(bound.counters.overflows) == 0 {
            event.out.push(Action::Log(Arc::clone(&bound.label)));
        }
        event.host.add(bound.counters.overflows, 1);
        change = ask(bound.overflow_pool(), Key::OVERFLOW, event);
    }
    if change.answer == Answer::Contended {
        event.host.add(bound.counters.contended, 1);
    }
    change.taken
}

#[cfg(test)]
mod tests;
