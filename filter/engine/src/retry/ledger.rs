//! The budgets of one worker and the exchanges that draw on them.
//!
//! It outlives configurations, so that a live update forgets nothing, and it
//! is where the two instances of the filter meet: the downstream one opens
//! and settles an exchange, the upstream one reports each try.
//!
//! With both in place the router may retry, and each retry is paid for when
//! the response that causes it arrives (*gate*). With the downstream instance
//! alone every request must hold the credit for its one retry from the start
//! (*reserve*). Which of the two holds is found out for each budget: by the
//! tries that are seen, and by responses that came without one; or the policy
//! says so.

mod slab;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::host::Host;
use crate::host::journal::Journals;
use crate::host::metrics::Meters;
use crate::retry::budget::{Budget, Purse, Terms};
use crate::retry::outcomes::Rules;
use crate::retry::reservation::Held;
use crate::retry::seen;
pub(crate) use slab::SlotId;
use slab::{Slot, Slots};

/// What a worker remembers of retries; one for each worker of a host.
#[derive(Debug, Default)]
pub struct Ledger {
    /// A random number that tells this worker's exchanges from others'.
    worker: Option<u64>,
    slots: Slots,
    budgets: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
struct Entry {
    /// `None` if the host cannot keep its account: then nothing is retried.
    budget: Option<Budget>,
    gate: Gate,
}

/// Whether the upstream instance is in place.
#[derive(Debug)]
struct Gate {
    /// Exchanges in a row of which a try was seen, and how many it takes.
    seen: u32,
    wanted: u32,
    announced: bool,
}

/// What the downstream instance asks for when a request goes on.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) budget: usize,
    pub(crate) rules: Option<Arc<Rules>>,
    /// The request may be tried again at all.
    pub(crate) may_retry: bool,
    /// It holds its credit from the start, gate or not.
    pub(crate) reserves: bool,
}

/// What it is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The exchange, and how the upstream instance finds it.
    pub(crate) id: SlotId,
    /// The most retries that are allowed now; `None`: no bound but the
    /// policy's own.
    pub(crate) limit: Option<u32>,
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Try {
    /// It goes on.
    Goes,
    /// It waits for the other one.
    Waits,
    /// It is answered instead.
    Refused,
}

/// A response, as far as retries go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) grpc_status: Option<u8>,
    /// It carries `x-envoy-ratelimited` of its own.
    pub(crate) limited: bool,
}

/// What an exchange came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// A retry was refused.
    pub(crate) refused: bool,
    /// The response carries a header of ours.
    pub(crate) marked: bool,
    /// The upstream instance is missing, which is news.
    pub(crate) gate_is_missing: bool,
}

/// Exchanges in a row whose tries are seen before the gate is trusted again.
const WANTED_AFTER_A_MISS: u32 = 32;
/// Old holds that are looked for with each exchange.
const SWEPT: usize = 2;

impl Gate {
    fn is_there(&self) -> bool {
        self.seen >= self.wanted
    }

    /// The upstream instance was missed; whether that is news.
    fn miss(&mut self) -> bool {
        self.seen = 0;
        self.wanted = WANTED_AFTER_A_MISS;
        !std::mem::replace(&mut self.announced, true)
    }
}

impl Ledger {
    /// Whether no exchange is open.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// The budget of this name, on these terms.
    pub(crate) fn budget<M: Meters>(
        &mut self,
        name: &str,
        terms: Terms,
        host: &M,
        now: u64,
    ) -> usize {
        if let Some(index) = self.by_name.get(name) {
            if let Some(Entry { budget, .. }) = self.budgets.get_mut(*index) {
                match budget {
                    Some(budget) => budget.renegotiate(terms),
                    None => *budget = Budget::open(name, terms, host, now),
                }
            }
            return *index;
        }
        let index = self.budgets.len();
        self.budgets.push(Entry {
            budget: Budget::open(name, terms, host, now),
            gate: Gate {
                seen: 0,
                wanted: 1,
                announced: false,
            },
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }

    /// A request goes on to the router.
    pub(crate) fn open<H: Meters + Journals>(
        &mut self,
        opening: Opening,
        random: u64,
        host: &H,
        now: u64,
    ) -> Option<Opened> {
        self.sweep(host, now);
        let entry = self.budgets.get_mut(opening.budget)?;
        let mut slot = Slot::new(opening.budget, opening.rules);
        slot.reserves = opening.reserves;
        if !opening.may_retry {
            slot.limit = Some(0);
        } else if entry.gate.is_there() && !opening.reserves {
            let budget = entry.budget.as_mut();
            if !budget.is_some_and(|budget| budget.has_credit(host, now)) {
                slot.limit = Some(0);
                slot.starved = true;
            }
        } else {
            let budget = entry.budget.as_mut();
            slot.held = budget.and_then(|it| Held::take(it, host, now));
            slot.limit = Some(u32::from(slot.held.is_some()));
            slot.starved = slot.held.is_none();
        }
        let limit = slot.limit;
        let worker = *self.worker.get_or_insert(random);
        let id = self.slots.insert(worker, slot)?;
        Some(Opened { id, limit })
    }

    /// The final response begins, or the exchange is over without one.
    pub(crate) fn settle<H: Host>(
        &mut self,
        id: SlotId,
        has_response: bool,
        host: &mut H,
        now: u64,
    ) -> Settled {
        let Some(slot) = self.slots.get(id).filter(|slot| !slot.settled) else {
            return Settled::default();
        };
        slot.settled = true;
        let Some(entry) = self.budgets.get_mut(slot.budget) else {
            return Settled::default();
        };
        let mut gate_is_missing = false;
        let Some(budget) = &mut entry.budget else {
            return Settled::default();
        };
        if slot.tries == 0 {
            // Nobody has told of them: this instance is alone, or nothing
            // went out.
            let tries = host.tries();
            let is_via_upstream = has_response && host.is_via_upstream();
            if tries > 0 {
                budget.deposit(host, now);
            }
            if is_via_upstream && !slot.reserves {
                gate_is_missing = entry.gate.miss();
            }
            let mut unpaid = tries.saturating_sub(1);
            if unpaid > 0
                && let Some(held) = slot.held.take()
            {
                held.spend(budget, host, now);
                unpaid -= 1;
            }
            // The gate was trusted, and not there.
            budget.charge(host, now, Purse::Share, unpaid);
            let rules = slot.rules.as_ref().filter(|rules| rules.most > 0);
            if slot.starved
                && is_via_upstream
                && let (Some(rules), Some(seen)) = (rules, seen(host))
                && rules.is_retriable(seen.status, seen.grpc_status)
            {
                slot.refused = true;
                budget.refuse(host);
            }
        }
        if let Some(held) = slot.held.take() {
            held.refund(budget, host);
        }
        Settled {
            refused: slot.refused,
            marked: slot.marked,
            gate_is_missing,
        }
    }

    /// The exchange is over and forgotten. Credit that a late try has taken
    /// comes back.
    pub(crate) fn close<H: Meters + Journals>(&mut self, id: SlotId, host: &H) {
        let Some(slot) = self.slots.remove(id) else {
            return;
        };
        let entry = self.budgets.get_mut(slot.budget);
        let budget = entry.and_then(|entry| entry.budget.as_mut());
        if let (Some(budget), Some(held)) = (budget, slot.held) {
            held.refund(budget, host);
        }
    }

    /// Holds that are older than an interval become used: whoever holds them
    /// keeps what was paid for, and the budget counts them no longer than
    /// other retries.
    fn sweep<H: Meters + Journals>(&mut self, host: &H, now: u64) {
        for _ in 0..SWEPT {
            let Some(slot) = self.slots.next() else {
                continue;
            };
            let Some(held) = slot.held else {
                continue;
            };
            let budget = self.budgets.get_mut(slot.budget);
            if let Some(budget) = budget.and_then(|entry| entry.budget.as_mut())
                && now.saturating_sub(held.since) > budget.interval()
            {
                held.spend(budget, host, now);
                slot.held = None;
                slot.paid = true;
            }
        }
    }
}

/// The upstream instance's part.
impl Ledger {
    /// A try reaches the upstream instance; its number, from 1. `None` if it
    /// belongs to no exchange of this worker: a mirrored request, say.
    pub(crate) fn begin_try<H: Meters + Journals>(
        &mut self,
        id: SlotId,
        host: &H,
        now: u64,
    ) -> Option<(u32, Try)> {
        if self.worker != Some(id.worker) {
            return None;
        }
        let slot = self.slots.get(id)?;
        let entry = self.budgets.get_mut(slot.budget)?;
        let budget = entry.budget.as_mut()?;
        slot.tries = slot.tries.saturating_add(1);
        let number = slot.tries;
        if number == 1 {
            slot.live = 1;
            budget.deposit(host, now);
            entry.gate.seen = entry.gate.seen.saturating_add(1);
            // It was not known to be seen: others may have the credit now.
            if let Some(held) = slot.held.take() {
                held.refund(budget, host);
            }
            return Some((number, Try::Goes));
        }
        let verdict = pay(slot, budget, host, now);
        if verdict == Try::Waits {
            slot.waiting = slot.waiting.saturating_add(1);
        }
        Some((number, verdict))
    }

    /// A try that waits asks again.
    pub(crate) fn try_again<H: Meters + Journals>(
        &mut self,
        id: SlotId,
        host: &H,
        now: u64,
    ) -> Try {
        let Some(slot) = self.slots.get(id) else {
            return Try::Refused;
        };
        let entry = self.budgets.get_mut(slot.budget);
        let Some(budget) = entry.and_then(|entry| entry.budget.as_mut()) else {
            return Try::Refused;
        };
        let verdict = pay(slot, budget, host, now);
        if verdict != Try::Waits {
            slot.waiting = slot.waiting.saturating_sub(1);
        }
        verdict
    }

    /// Response headers came for try `number`; whether the router must be
    /// kept from trying again by a header.
    pub(crate) fn answered<H: Meters + Journals>(
        &mut self,
        id: SlotId,
        number: u32,
        seen: Seen,
        host: &H,
        now: u64,
    ) -> bool {
        // Once the client has its response nothing is tried again.
        let Some(slot) = self.slots.get(id).filter(|slot| !slot.settled) else {
            return false;
        };
        let entry = self.budgets.get_mut(slot.budget);
        let Some(budget) = entry.and_then(|entry| entry.budget.as_mut()) else {
            return false;
        };
        let known = slot.rules.as_deref();
        let is_retriable = known
            .is_some_and(|rules| rules.is_retriable(seen.status, seen.grpc_status))
            || (known.is_none() && may_be_retriable(seen));
        // A client's or a route's own triggers may go further.
        let might_be = is_retriable || may_be_retriable(seen);
        let is_last = known.is_some_and(|rules| number > rules.most)
            || slot.limit.is_some_and(|limit| number > limit);
        if slot.starved && is_retriable && known.is_some_and(|rules| rules.most > 0) {
            // The router was told not to try again.
            if slot.limit.is_some_and(|limit| number == limit + 1) && !slot.refused {
                slot.refused = true;
                budget.refuse(host);
            }
            return false;
        }
        // What the origin has marked itself is not tried again. A try that a
        // hedge has overtaken ends nothing, unless that hedge never went.
        let overtaken = number < slot.tries && !(slot.live <= 1 && slot.waiting > 0);
        if !might_be || is_last || seen.limited || overtaken {
            return false;
        }
        if slot.held.is_some() || slot.paid {
            return false;
        }
        slot.held = Held::take(budget, host, now);
        if slot.held.is_some() {
            return false;
        }
        if is_retriable {
            slot.refused = true;
            budget.refuse(host);
        }
        slot.marked = true;
        true
    }

    /// A try is over that went on, or that waited until now.
    pub(crate) fn end_try(&mut self, id: SlotId, waited: bool) {
        if let Some(slot) = self.slots.get(id) {
            let count = if waited {
                &mut slot.waiting
            } else {
                &mut slot.live
            };
            *count = count.saturating_sub(1);
        }
    }
}

/// What a retry is paid with.
fn pay<H: Meters + Journals>(slot: &mut Slot, budget: &mut Budget, host: &H, now: u64) -> Try {
    let held = slot.held.take();
    if std::mem::take(&mut slot.paid) {
        slot.live = slot.live.saturating_add(1);
        return Try::Goes;
    }
    match held.or_else(|| Held::take(budget, host, now)) {
        Some(held) => {
            held.spend(budget, host, now);
            slot.live = slot.live.saturating_add(1);
            Try::Goes
        }
        None if slot.live > 0 => Try::Waits,
        None => {
            if !slot.refused {
                slot.refused = true;
                budget.refuse(host);
            }
            Try::Refused
        }
    }
}

/// Whether some trigger or other may be for this response.
fn may_be_retriable(seen: Seen) -> bool {
    seen.status >= 400 || seen.grpc_status.is_some_and(|status| status > 0)
}

#[cfg(test)]
mod tests;
