//! Credit that a worker holds for retries that may be about to happen, and the
//! entry of it in the worker's journal.
//!
//! A budget's account says how much all workers hold, and not who holds how much.
//! So each worker also enters its own part in its journal. When its machine has
//! died, another worker takes that part out of the account.

use crate::host::shared_state::Update;
use crate::host::shared_state::accounts::Accounts;
use crate::host::shared_state::journal::{HeldCredit, Journals, PAGES, Page, PageId, WorkerId};
use crate::retry::budget::{Allowance, Budget};

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
    pub(crate) fn take<H: Accounts + Journals>(
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
    pub(crate) fn spend<H: Accounts + Journals>(self, budget: &mut Budget, host: &H, now: u64) {
        if self.strike(budget, host) {
            budget.spend(host, now, self.allowance);
        } else {
            budget.charge(host, now, self.allowance, 1);
        }
    }

    /// The retry does not happen.
    pub(crate) fn refund<H: Accounts + Journals>(self, budget: &mut Budget, host: &H) {
        if self.strike(budget, host) {
            budget.refund(host, self.allowance);
        }
    }

    /// Strikes the entry; whether the account still counts it. It does not if this
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

/// Takes the credit for retries that a dead worker held out of the accounts.
pub fn recover<H: Accounts + Journals>(dead: WorkerId, host: &H) {
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
                    && let Some(account) = host.account(&held.budget)
                {
                    host.post(account, allowance.held(), -i64::from(amount));
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
    let page = PageId::of(holder, budget.labels());
    let changed = on_page(page, host, |page| {
        // Nobody owns an empty page.
        if page.owner != holder.id && page.owner != 0 {
            return Update::Keep(false);
        }
        let mut held = page.held.iter();
        let place = held.position(|it| it.budget == *budget.labels());
        let known = place.and_then(|place| page.held.get(place));
        let [share, floor] = known.map_or([0, 0], |it| [it.share, it.floor]);
        let changed = match allowance {
            Allowance::Share => by(share).map(|share| [share, floor]),
            Allowance::Floor => by(floor).map(|floor| [share, floor]),
        };
        let Some([share, floor]) = changed else {
            return Update::Keep(false);
        };
        page.owner = holder.id;
        match place.and_then(|place| page.held.get_mut(place)) {
            Some(known) => (known.share, known.floor) = (share, floor),
            None => page.held.push(HeldCredit {
                budget: budget.labels().clone(),
                share,
                floor,
            }),
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

#[cfg(test)]
mod tests;
