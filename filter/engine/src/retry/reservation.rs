//! Credit that a worker holds for retries that may be about to happen, and the
//! entry of it in the worker's journal.
//!
//! A budget counts what all workers hold in one gauge, which does not say who
//! holds how much. So each worker also enters its own part in its journal. When
//! its machine has died, another worker takes that part out of the gauges.

use crate::host::metrics::{MeterKind, Meters};
use crate::host::shared_state::Update;
use crate::host::shared_state::journal::{HeldCredit, Journals, PAGES, Page, PageId, WorkerId};
use crate::retry::budget::{Allowance, Budget, gauge_of_reserved};

/// Credit for one retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    allowance: Allowance,
    /// Since when, on the host's clock.
    pub(crate) since: u64,
    /// In whose journal it is entered.
    holder: Option<WorkerId>,
}

/// Nobody else writes a page but who takes over after a death.
const TRIES: usize = 16;

impl Reservation {
    /// Holds credit for one retry; `None` if there is none, or if it cannot be
    /// entered.
    pub(crate) fn take<H: Meters + Journals>(
        budget: &mut Budget,
        host: &H,
        now: u64,
    ) -> Option<Self> {
        let allowance = budget.withdraw(host, now)?;
        let holder = host.worker();
        if holder.is_some_and(|it| !change(budget, allowance, it, host, |held| held.checked_add(1)))
        {
            budget.refund(host, allowance);
            return None;
        }
        Some(Self {
            allowance,
            since: now,
            holder,
        })
    }

    /// The retry happens.
    pub(crate) fn spend<H: Meters + Journals>(self, budget: &mut Budget, host: &H, now: u64) {
        if self.strike(budget, host) {
            budget.spend(host, now, self.allowance);
        } else {
            budget.charge(host, now, self.allowance, 1);
        }
    }

    /// The retry does not happen.
    pub(crate) fn refund<H: Meters + Journals>(self, budget: &mut Budget, host: &H) {
        if self.strike(budget, host) {
            budget.refund(host, self.allowance);
        }
    }

    /// Strikes the entry; whether the gauge still counts it. It does not if this
    /// worker was silent so long that others took it for dead.
    fn strike<H: Journals>(self, budget: &Budget, host: &H) -> bool {
        let Some(holder) = self.holder else {
            return true;
        };
        host.worker() == Some(holder)
            && change(budget, self.allowance, holder, host, |held| {
                held.checked_sub(1)
            })
    }
}

/// Takes the credit for retries that a dead worker held out of the gauges.
pub fn recover<H: Meters + Journals>(dead: WorkerId, host: &H) {
    for page in 0..PAGES {
        let page = PageId {
            worker: dead.number,
            page,
        };
        let taken = on_page(page, host, |page| {
            if page.owner == dead.id {
                Update::Write(std::mem::take(page))
            } else {
                Update::Keep(Page::default())
            }
        });
        for held in taken.iter().flat_map(|page| &page.held) {
            for (allowance, amount) in [
                (Allowance::Share, held.share),
                (Allowance::Floor, held.floor),
            ] {
                if amount > 0
                    && let Some(gauge) = host.meter(
                        MeterKind::Gauge,
                        &gauge_of_reserved(&held.budget, allowance),
                    )
                {
                    host.adjust(gauge, -i64::from(amount));
                }
            }
        }
    }
}

/// Changes how much of a budget the journal says is held; `false` if it cannot.
fn change<H: Journals>(
    budget: &Budget,
    allowance: Allowance,
    holder: WorkerId,
    host: &H,
    by: impl Fn(u32) -> Option<u32>,
) -> bool {
    let page = PageId::of(holder, budget.name());
    let changed = on_page(page, host, |page| {
        // Nobody owns an empty page.
        if page.owner != holder.id && page.owner != 0 {
            return Update::Keep(false);
        }
        let place = page.held.iter().position(|it| it.budget == budget.name());
        let known = place.and_then(|place| page.held.get(place));
        let mut held = known.cloned().unwrap_or_else(|| HeldCredit {
            budget: budget.name().to_owned(),
            share: 0,
            floor: 0,
        });
        let amount = amount(&mut held, allowance);
        let Some(changed) = by(*amount) else {
            return Update::Keep(false);
        };
        *amount = changed;
        page.owner = holder.id;
        match place.and_then(|place| page.held.get_mut(place)) {
            Some(known) => *known = held,
            None => page.held.push(held),
        }
        page.held.retain(|it| (it.share, it.floor) != (0, 0));
        if page.held.is_empty() {
            page.owner = 0;
        }
        Update::Write(true)
    });
    changed.unwrap_or(false)
}

fn on_page<H: Journals, T>(
    page: PageId,
    host: &H,
    mut step: impl FnMut(&mut Page) -> Update<T>,
) -> Option<T> {
    (0..TRIES).find_map(|_| host.update(page, &mut step).ok())
}

fn amount(held: &mut HeldCredit, allowance: Allowance) -> &mut u32 {
    match allowance {
        Allowance::Share => &mut held.share,
        Allowance::Floor => &mut held.floor,
    }
}

#[cfg(test)]
mod tests;
