//! `concurrency`: how many requests of a rule are in flight at once.
//!
//! A place is taken when a request comes, and left when its exchange ends,
//! however it ends. All workers take theirs from one pool. A worker takes
//! several places of a large bound at a time, keeps some of those that its
//! requests leave, and gives them back when it has been idle for a while.

use std::sync::Arc;

use hashbrown::HashMap;

use super::slots::Key;
use super::till::{KeyTable, LimitCounters, OVERFLOW_FACTOR};
use crate::action::Action;
use crate::counters::{CounterId, GaugeId};
use crate::holder::Holder;
use crate::host::Host;
use crate::pool::{Answer, Change, Pool, WORKERS};
use crate::shared::TableId;

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
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// Requests in flight.
    used: u64,
    /// Places that are taken for them, and ahead.
    taken: u64,
    /// They were taken from those for whom there was no room.
    overflowed: bool,
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
        let most = self.most;
        Pool { table, most, slots }
    }

    fn overflow_pool(&self) -> Pool {
        let factor = self.keys.map_or(1, |_| u64::from(OVERFLOW_FACTOR));
        Pool {
            table: self.own,
            most: self.most.saturating_mul(factor),
            slots: OWN_SLOTS + WORKERS,
        }
    }
}

impl Places {
    /// Takes a place; `false` if there is none.
    pub(crate) fn enter<H: Host>(
        &mut self,
        at: PlaceRef,
        bound: &Concurrency,
        holder: &mut Holder,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> bool {
        let known = self.shares.get(&at).copied();
        let mut share = known.unwrap_or_default();
        if share.used == share.taken {
            share.taken += fetch(bound, at.key, &mut share.overflowed, holder, host, out);
        }
        if share.used == share.taken {
            return false;
        }
        share.used += 1;
        self.shares.insert(at, share);
        true
    }

    /// Leaves a place.
    pub(crate) fn leave<H: Host>(
        &mut self,
        at: PlaceRef,
        bound: &Concurrency,
        holder: &mut Holder,
        host: &mut H,
        out: &mut Vec<Action>,
    ) {
        let Some(share) = self.shares.get_mut(&at) else {
            return;
        };
        share.used = share.used.saturating_sub(1);
        let spare = share.taken.saturating_sub(share.used);
        let lease = bound.lease();
        if spare < lease {
            return;
        }
        let back = spare - lease / 2;
        share.taken -= back;
        let overflowed = share.overflowed;
        if share.taken == 0 {
            self.shares.remove(&at);
        }
        give_back(bound, at.key, overflowed, back, holder, host, out);
    }

    /// Gives back what was taken ahead where nothing is in flight.
    pub(crate) fn settle<H: Host>(
        &mut self,
        bounds: &[Concurrency],
        holder: &mut Holder,
        host: &mut H,
        out: &mut Vec<Action>,
    ) {
        self.shares.retain(|at, share| {
            let bound = bounds.get(at.bound).filter(|_| share.used == 0);
            if let Some(bound) = bound {
                let (overflowed, back) = (share.overflowed, share.taken);
                give_back(bound, at.key, overflowed, back, holder, host, out);
            }
            bound.is_none()
        });
    }
}

/// Gives so many places back.
fn give_back<H: Host>(
    bound: &Concurrency,
    key: Key,
    overflowed: bool,
    back: u64,
    holder: &mut Holder,
    host: &mut H,
    out: &mut Vec<Action>,
) {
    let (pool, key) = if overflowed {
        (bound.overflow_pool(), Key::OVERFLOW)
    } else {
        (bound.pool(key), key)
    };
    host.add(bound.counters.operations, 1);
    let by = holder.give_back(pool, key.get(), back, host);
    out.extend(Action::adjust(bound.gauge, by));
}

/// Takes one place, or several of a large bound; gives how many it got.
fn fetch<H: Host>(
    bound: &Concurrency,
    key: Key,
    overflowed: &mut bool,
    holder: &mut Holder,
    host: &mut H,
    out: &mut Vec<Action>,
) -> u64 {
    let mut ask = |pool: Pool, key: Key, host: &mut H, out: &mut Vec<Action>| -> Change {
        host.add(bound.counters.operations, 1);
        let change = holder.take(pool, key.get(), (1, bound.lease()), host, out);
        out.extend(Action::adjust(bound.gauge, change.by));
        change
    };
    let mut change = Change::default();
    if !*overflowed {
        change = ask(bound.pool(key), key, host, out);
        *overflowed = change.answer == Answer::NoRoom;
    }
    if *overflowed {
        if host.read(bound.counters.overflows) == 0 {
            out.push(Action::Log(Arc::clone(&bound.label)));
        }
        host.add(bound.counters.overflows, 1);
        change = ask(bound.overflow_pool(), Key::OVERFLOW, host, out);
    }
    if change.answer == Answer::Contended {
        host.add(bound.counters.contended, 1);
    }
    change.taken
}

#[cfg(test)]
mod tests;
