//! Credit that a worker holds for retries that may be about to happen, and the
//! entry of it in the worker's journal.
//!
//! A budget counts what all workers hold in one gauge, which does not say who
//! holds how much. So each worker also enters its own part in its journal. When
//! its machine has died, another worker takes that part out of the gauges.

use crate::host::journal::{Journals, PAGES, Page, WorkerId};
use crate::host::metrics::{MeterKind, Meters};
use crate::host::values::Step;
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

/// A page: whose it is, and what that worker holds of each budget.
#[derive(Debug, PartialEq, Eq)]
struct Entries<'a> {
    owner: u64,
    of_budgets: Vec<Entry<'a>>,
}

/// A budget's name, and what is held of it.
type Entry<'a> = (&'a [u8], Amounts);

/// Credit from requests, and from `minRetryRate`.
type Amounts = [u32; 2];

const BYTES: usize = size_of::<u32>();

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
        let page = Page {
            worker: dead.number,
            page,
        };
        let taken = on_page(page, host, |bytes| match Entries::read(bytes) {
            Some(entries) if entries.owner == dead.id => Step::Write(std::mem::take(bytes)),
            _ => Step::Keep(Vec::new()),
        });
        let taken = taken.unwrap_or_default();
        let entries = Entries::read(&taken);
        for (name, amounts) in entries.iter().flat_map(|it| &it.of_budgets) {
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            for (allowance, amount) in [Allowance::Share, Allowance::Floor]
                .into_iter()
                .zip(amounts)
            {
                if *amount > 0
                    && let Some(gauge) =
                        host.meter(MeterKind::Gauge, &gauge_of_reserved(name, allowance))
                {
                    host.adjust(gauge, -i64::from(*amount));
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
    let page = Page::of(holder, budget.name());
    let changed = on_page(page, host, |bytes| {
        let mut entries = match Entries::read(bytes) {
            Some(entries) if entries.owner == holder.id => entries,
            Some(_) => return Step::Keep(false),
            None => Entries::of(holder),
        };
        if !entries.change(budget.name().as_bytes(), allowance, &by) {
            return Step::Keep(false);
        }
        // Nobody owns an empty page.
        *bytes = if entries.of_budgets.is_empty() {
            Vec::new()
        } else {
            entries.write()
        };
        Step::Write(true)
    });
    changed.unwrap_or(false)
}

fn on_page<H: Journals, T>(
    page: Page,
    host: &H,
    mut step: impl FnMut(&mut Vec<u8>) -> Step<T>,
) -> Option<T> {
    (0..TRIES).find_map(|_| host.page(page, &mut step).ok())
}

impl<'a> Entries<'a> {
    fn of(owner: WorkerId) -> Self {
        Self {
            owner: owner.id,
            of_budgets: Vec::new(),
        }
    }

    /// `None` if nothing is written there. What follows the last whole entry is
    /// left out.
    fn read(page: &'a [u8]) -> Option<Self> {
        let (owner, mut rest) = page.split_first_chunk()?;
        let mut of_budgets = Vec::new();
        while let Some((entry, next)) = read_entry(rest) {
            of_budgets.push(entry);
            rest = next;
        }
        Some(Self {
            owner: u64::from_le_bytes(*owner),
            of_budgets,
        })
    }

    fn write(&self) -> Vec<u8> {
        let mut page = self.owner.to_le_bytes().to_vec();
        for (name, [share, floor]) in &self.of_budgets {
            // A name is far shorter; what is cut off could not be read.
            let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
            for number in [*share, *floor, length] {
                page.extend(number.to_le_bytes());
            }
            page.extend(*name);
        }
        page
    }

    /// `false` if the amount cannot be changed so.
    fn change(
        &mut self,
        name: &'a [u8],
        allowance: Allowance,
        by: impl Fn(u32) -> Option<u32>,
    ) -> bool {
        let known = self.of_budgets.iter().position(|(other, _)| *other == name);
        let place = known.unwrap_or(self.of_budgets.len());
        if known.is_none() {
            self.of_budgets.push((name, Amounts::default()));
        }
        let Some((_, [share, floor])) = self.of_budgets.get_mut(place) else {
            return false;
        };
        let amount = match allowance {
            Allowance::Share => share,
            Allowance::Floor => floor,
        };
        let Some(changed) = by(*amount) else {
            return false;
        };
        *amount = changed;
        self.of_budgets.retain(|(_, amounts)| *amounts != [0, 0]);
        true
    }
}

fn read_entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (numbers, rest) = bytes.split_at_checked(3 * BYTES)?;
    let [share, floor, length] = numbers.as_chunks().0 else {
        return None;
    };
    let [share, floor, length] = [share, floor, length].map(|it| u32::from_le_bytes(*it));
    let (name, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(((name, [share, floor]), rest))
}

#[cfg(test)]
mod tests;
