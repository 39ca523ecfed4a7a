//! How much of something is held at once, all workers together: bytes of
//! bodies, requests that wait, requests in flight.
//!
//! A shared table says which worker holds how much of what. What dead workers
//! held is dropped when another finds no room ([`super::claims`]), and soon after
//! their death in any case ([`super::reaper`]).

use std::num::NonZeroU32;

use crate::host::values::{TableId, Tables};

/// A bounded number of things, in units of the capability that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) table: TableId,
    /// The most of one key that is held at once.
    pub(crate) max: u64,
    /// How many slots the table has.
    pub(crate) slots: usize,
    /// Whose claims these are, in a table that several quotas share.
    pub(crate) owner: Option<Owner>,
}

/// Tells the quotas of a shared table apart. It is the upper half of a slot's
/// amount, so that a quota of such a table holds less than 2³² of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) NonZeroU32);

/// Who holds what of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Each key has a bound of its own.
    pub(crate) key: u64,
    pub(crate) worker: u64,
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClaimOutcome {
    /// The table was out of reach.
    #[default]
    Contended,
    Granted,
    /// All of it is held.
    Full,
    /// The table has no slot left for this claim.
    NoRoom,
}

/// What a claim, or giving back, changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) outcome: ClaimOutcome,
    /// How much was taken.
    pub(crate) taken: u64,
    /// By how much changed what is held, that of the dead included.
    pub(crate) by: i64,
}

/// What a dead worker held in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DroppedClaim {
    /// `None`: the table has one quota, or the slot does not say.
    pub(crate) owner: Option<Owner>,
    pub(crate) amount: u64,
}

/// Slots of a table that is shared by workers only.
pub(crate) const WORKERS: usize = 1024;

/// Words of a slot: key, worker, amount.
const WORDS: usize = 3;

const OWNER_SHIFT: u32 = 32;
const AMOUNT: u64 = (1 << OWNER_SHIFT) - 1;

/// Giving back and clearing up must not fail, however busy the others are.
const TRIES: usize = 16;

type Slot = [u64; WORDS];

impl DroppedClaim {
    pub(crate) fn signed(self) -> i64 {
        i64::try_from(self.amount).unwrap_or(i64::MAX)
    }
}

impl Owner {
    /// Made from a hash.
    pub(crate) fn new(hash: u64) -> Self {
        let half = u32::try_from(hash >> OWNER_SHIFT).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(half).unwrap_or(NonZeroU32::MIN))
    }
}

impl Quota {
    /// Takes as much as there is room for, at least and at most so much.
    #[inline(never)]
    pub(crate) fn take<T: Tables>(self, tables: &T, claim: Claim, amount: (u64, u64)) -> Change {
        let mut change = Change::default();
        let written = tables.update_table(self.table, |words| {
            let mut slots = slots(words);
            let (outcome, taken) = self.claim(&mut slots, claim, amount);
            let by = i64::try_from(taken).unwrap_or(0);
            change = Change { outcome, taken, by };
            *words = slots.as_flattened().to_vec();
            outcome == ClaimOutcome::Granted
        });
        match change.outcome {
            ClaimOutcome::Granted if !written => Change::default(),
            _ => change,
        }
    }

    /// Gives so much back; gives by how much changed what is held.
    #[inline(never)]
    pub(crate) fn give_back<T: Tables>(self, tables: &T, claim: Claim, amount: u64) -> i64 {
        let mut back = 0;
        let mut give = || {
            tables.update_table(self.table, |words| {
                let mut slots = slots(words);
                back = 0;
                if let Some(slot) = find(&mut slots, claim) {
                    back = self.amount(slot).min(amount);
                    let [.., held] = slot;
                    *held -= back;
                }
                slots.retain(|slot| self.amount(slot) > 0);
                *words = slots.as_flattened().to_vec();
                true
            })
        };
        if (0..TRIES).any(|_| give()) {
            i64::try_from(back).map_or(0, i64::wrapping_neg)
        } else {
            0
        }
    }

    fn claim(
        self,
        slots: &mut Vec<Slot>,
        claim: Claim,
        (least, max): (u64, u64),
    ) -> (ClaimOutcome, u64) {
        let of_key = slots.iter().filter(|[key, ..]| *key == claim.key);
        let held = of_key.fold(0, |sum: u64, slot| sum.saturating_add(self.amount(slot)));
        let taken = self.max.saturating_sub(held).min(max);
        if taken < least {
            return (ClaimOutcome::Full, 0);
        }
        if let Some([.., held]) = find(slots, claim) {
            *held = held.saturating_add(taken);
        } else if slots.len() < self.slots {
            slots.push([claim.key, claim.worker, self.mark() | taken]);
        } else {
            return (ClaimOutcome::NoRoom, 0);
        }
        (ClaimOutcome::Granted, taken)
    }

    fn mark(self) -> u64 {
        self.owner
            .map_or(0, |Owner(owner)| u64::from(owner.get()) << OWNER_SHIFT)
    }

    fn amount(self, [.., word]: &Slot) -> u64 {
        match self.owner {
            None => *word,
            Some(_) => word & AMOUNT,
        }
    }
}

/// Workers that hold something in a table, in any order and several times.
pub(crate) fn claimants<T: Tables>(table: TableId, tables: &T) -> Vec<u64> {
    let mut claimants = Vec::new();
    tables.update_table(table, |words| {
        claimants = slots(words).iter().map(|[_, worker, _]| *worker).collect();
        false
    });
    claimants
}

/// Drops what the `dead` hold in a table, as far as it is `ours`, and says
/// what that was. `shared`: several quotas have it.
#[inline(never)]
pub(crate) fn drop_claims<T: Tables>(
    table: TableId,
    shared: bool,
    dead: &[u64],
    tables: &T,
    ours: impl Fn(Option<Owner>) -> bool,
) -> Vec<DroppedClaim> {
    let lost = |[.., word]: &Slot| {
        let owner = u32::try_from(word >> OWNER_SHIFT).unwrap_or_default();
        match shared {
            true => DroppedClaim {
                owner: NonZeroU32::new(owner).map(Owner),
                amount: word & AMOUNT,
            },
            false => DroppedClaim {
                owner: None,
                amount: *word,
            },
        }
    };
    let mut found = Vec::new();
    for _ in 0..TRIES {
        let written = tables.update_table(table, |words| {
            let mut slots = slots(words);
            found.clear();
            slots.retain(|slot| {
                let ([_, worker, _], lost) = (slot, lost(slot));
                let goes = dead.contains(worker) && ours(lost.owner);
                if goes {
                    found.push(lost);
                }
                !goes
            });
            *words = slots.as_flattened().to_vec();
            !found.is_empty()
        });
        // Nobody may look here again before somebody else dies.
        if written || found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Whatever follows the last whole slot is left out.
fn slots(words: &[u64]) -> Vec<Slot> {
    words.as_chunks().0.to_vec()
}

fn find(slots: &mut [Slot], claim: Claim) -> Option<&mut Slot> {
    slots
        .iter_mut()
        .find(|[key, worker, _]| (*key, *worker) == (claim.key, claim.worker))
}

#[cfg(test)]
mod tests;
