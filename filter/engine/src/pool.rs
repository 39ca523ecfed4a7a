//! How much of something is held at once, all workers together: bytes of
//! bodies, requests that wait, requests in flight.
//!
//! A shared table says which worker holds how much of what. What the dead held
//! is dropped when somebody finds no room ([`crate::holder`]).

use crate::shared::{TableId, Tables};

/// A bounded number of things, in units of whoever uses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) table: TableId,
    /// The most of one key that is held at once.
    pub(crate) most: u64,
    /// How many slots the table has.
    pub(crate) slots: usize,
}

/// Who holds what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Each key has a bound of its own.
    pub(crate) key: u64,
    pub(crate) worker: u64,
}

/// What came of asking for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The table was out of reach.
    #[default]
    Contended,
    Granted,
    /// All of it is held.
    Full,
    /// The table has no slot left for this claim.
    NoRoom,
}

/// What became of asking, or of giving back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) answer: Answer,
    /// How much was taken.
    pub(crate) taken: u64,
    /// By how much changed what is held, that of the dead included.
    pub(crate) by: i64,
}

/// Slots of a table that is shared by workers only.
pub(crate) const WORKERS: usize = 1024;

/// Words of a slot: key, worker, amount.
const WORDS: usize = 3;

/// Giving back must not fail, however busy the others are.
const TRIES: usize = 16;

type Slot = [u64; WORDS];

impl Pool {
    /// Takes as much as there is room for, at least and at most so much. What
    /// the `dead` hold is dropped.
    #[inline(never)]
    pub(crate) fn take<T: Tables>(
        self,
        tables: &T,
        claim: Claim,
        amount: (u64, u64),
        dead: &[u64],
    ) -> Change {
        let mut change = Change::default();
        let written = tables.update_table(self.table, |words| {
            let mut slots = slots(words);
            let before = total(&slots);
            slots.retain(|[_, worker, _]| !dead.contains(worker));
            let (answer, taken) = self.enter(&mut slots, claim, amount);
            let by = difference(total(&slots), before);
            change = Change { answer, taken, by };
            *words = slots.as_flattened().to_vec();
            answer == Answer::Granted || by != 0
        });
        match change.answer {
            _ if written => change,
            Answer::Granted => Change::default(),
            _ => Change { by: 0, ..change },
        }
    }

    /// Workers that hold something, in any order and several times.
    pub(crate) fn holders<T: Tables>(self, tables: &T) -> Vec<u64> {
        let mut holders = Vec::new();
        tables.update_table(self.table, |words| {
            holders = slots(words).iter().map(|[_, worker, _]| *worker).collect();
            false
        });
        holders
    }

    /// Gives so much back; gives by how much changed what is held.
    #[inline(never)]
    pub(crate) fn give_back<T: Tables>(self, tables: &T, claim: Claim, amount: u64) -> i64 {
        let mut by = 0;
        let mut give = || {
            tables.update_table(self.table, |words| {
                let mut slots = slots(words);
                let before = total(&slots);
                if let Some([.., held]) = find(&mut slots, claim) {
                    *held = held.saturating_sub(amount);
                }
                slots.retain(|[.., held]| *held > 0);
                by = difference(total(&slots), before);
                *words = slots.as_flattened().to_vec();
                true
            })
        };
        if (0..TRIES).any(|_| give()) { by } else { 0 }
    }

    fn enter(
        self,
        slots: &mut Vec<Slot>,
        claim: Claim,
        (least, most): (u64, u64),
    ) -> (Answer, u64) {
        let of_key = slots.iter().filter(|[key, ..]| *key == claim.key);
        let held = of_key.fold(0, |sum: u64, [.., held]| sum.saturating_add(*held));
        let taken = self.most.saturating_sub(held).min(most);
        if taken < least {
            return (Answer::Full, 0);
        }
        if let Some([.., held]) = find(slots, claim) {
            *held = held.saturating_add(taken);
        } else if slots.len() < self.slots {
            slots.push([claim.key, claim.worker, taken]);
        } else {
            return (Answer::NoRoom, 0);
        }
        (Answer::Granted, taken)
    }
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

fn total(slots: &[Slot]) -> u64 {
    let amounts = slots.iter().map(|[.., held]| *held);
    amounts.fold(0, u64::saturating_add)
}

fn difference(after: u64, before: u64) -> i64 {
    let by = i64::try_from(after.abs_diff(before)).unwrap_or(0);
    if after < before { -by } else { by }
}

#[cfg(test)]
mod tests;
