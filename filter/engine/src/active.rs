//! How many exchanges hold something at once, all workers together.
//!
//! A shared table has one slot per worker: who, how many, and until when at
//! most. A worker that dies takes its slots with it only when that time is
//! over, so that nothing leaks for good and nothing has to beat.

use crate::shared::{TableId, Tables};

/// A bounded number of holders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    pub(crate) table: TableId,
    pub(crate) most: u64,
}

/// What became of asking for a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// There was room; or there was a place to give back.
    pub(crate) granted: bool,
    /// By how much the number of holders changed.
    pub(crate) by: i64,
}

#[derive(Clone, Copy)]
struct Slot {
    worker: u64,
    holders: u64,
    /// When the last of them has let go, unless its worker is dead.
    until: u64,
}

/// Workers that can hold something at once.
const MOST_SLOTS: usize = 1024;
const WORDS: usize = 3;

/// How late a worker may let go before it is taken for dead.
const GRACE_NS: u64 = 30_000_000_000;

impl Active {
    /// Takes a place for `worker` until at most `until`, if there is room.
    pub(crate) fn enter<T: Tables>(self, tables: &T, worker: u64, now: u64, until: u64) -> Change {
        let mut change = Change::default();
        let kept = tables.update_table(self.table, |words| {
            change = change_table(words, now, |slots| {
                total(slots) < self.most && enter(slots, worker, until)
            });
            change != Change::default()
        });
        if kept { change } else { Change::default() }
    }

    /// Gives a place of `worker` back.
    pub(crate) fn leave<T: Tables>(self, tables: &T, worker: u64) -> Change {
        let mut change = Change::default();
        let kept = tables.update_table(self.table, |words| {
            change = change_table(words, 0, |slots| leave(slots, worker));
            change != Change::default()
        });
        if kept { change } else { Change::default() }
    }
}

/// Drops the slots whose time is over, then lets `step` change the rest.
#[inline(never)]
fn change_table(
    words: &mut Vec<u64>,
    now: u64,
    step: impl FnOnce(&mut Vec<Slot>) -> bool,
) -> Change {
    let mut slots = slots(words);
    let before = total(&slots);
    slots.retain(|slot| slot.until.saturating_add(GRACE_NS) > now);
    let granted = step(&mut slots);
    *words = to_words(&slots);
    let by = i128::from(total(&slots)) - i128::from(before);
    Change {
        granted,
        by: i64::try_from(by).unwrap_or(0),
    }
}

fn leave(slots: &mut Vec<Slot>, worker: u64) -> bool {
    let Some(slot) = slots.iter_mut().find(|slot| slot.worker == worker) else {
        return false;
    };
    slot.holders = slot.holders.saturating_sub(1);
    slots.retain(|slot| slot.holders > 0);
    true
}

fn enter(slots: &mut Vec<Slot>, worker: u64, until: u64) -> bool {
    if let Some(slot) = slots.iter_mut().find(|slot| slot.worker == worker) {
        slot.holders += 1;
        slot.until = slot.until.max(until);
        return true;
    }
    let room = slots.len() < MOST_SLOTS;
    if room {
        slots.push(Slot {
            worker,
            holders: 1,
            until,
        });
    }
    room
}

fn total(slots: &[Slot]) -> u64 {
    let holders = slots.iter().map(|slot| slot.holders);
    holders.fold(0, u64::saturating_add)
}

/// Whatever follows the last whole slot is left out.
fn slots(words: &[u64]) -> Vec<Slot> {
    let (slots, _) = words.as_chunks::<WORDS>();
    let slot = |&[worker, holders, until]: &[u64; WORDS]| Slot {
        worker,
        holders,
        until,
    };
    slots.iter().map(slot).collect()
}

fn to_words(slots: &[Slot]) -> Vec<u64> {
    slots
        .iter()
        .flat_map(|slot| [slot.worker, slot.holders, slot.until])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;

    fn active(most: u64) -> Active {
        Active {
            table: TableId(0),
            most,
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let host = FakeHost::default();
        let active = active(2);
        assert!(active.enter(&host, 1, 0, SECOND).granted);
        assert!(active.enter(&host, 2, 0, SECOND).granted);
        let full = active.enter(&host, 1, 0, SECOND);
        assert_eq!(full, Change::default());
        assert_eq!(active.leave(&host, 1).by, -1);
        let free = active.enter(&host, 2, 0, SECOND);
        assert_eq!((free.granted, free.by), (true, 1));
    }

    #[test]
    fn who_holds_nothing_gives_nothing_back() {
        let host = FakeHost::default();
        let active = active(1);
        assert!(active.enter(&host, 1, 0, SECOND).granted);
        assert_eq!(active.leave(&host, 2).by, 0);
        assert!(!active.enter(&host, 2, 0, SECOND).granted);
    }

    #[test]
    fn the_places_of_a_dead_worker_are_free_when_its_time_is_over() {
        let host = FakeHost::default();
        let active = active(2);
        assert!(active.enter(&host, 1, 0, SECOND).granted);
        assert!(active.enter(&host, 1, 0, 2 * SECOND).granted);
        let over = 2 * SECOND + GRACE_NS;
        assert!(!active.enter(&host, 2, over - 1, over).granted);
        let later = active.enter(&host, 2, over, over + SECOND);
        assert_eq!((later.granted, later.by), (true, 1 - 2));
        // Should it live after all, it takes nothing from the others.
        assert_eq!(active.leave(&host, 1).by, 0);
    }

    #[test]
    fn a_damaged_table_is_read_as_far_as_it_goes() {
        let host = FakeHost::default();
        host.update_table(TableId(0), |words| {
            *words = vec![1, 1, u64::MAX, 7];
            true
        });
        assert!(!active(1).enter(&host, 2, 0, 1).granted);
        assert_eq!(active(1).leave(&host, 1).by, -1);
        assert!(active(1).enter(&host, 2, 0, 1).granted);
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn threads_never_hold_more_than_the_bound() {
        use crate::testing::ThreadedHost;
        use std::sync::atomic::{AtomicI64, Ordering};

        const MOST: u64 = 3;
        let host = ThreadedHost::new(0);
        let (holders, largest, sum) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let (host, holders, largest, sum) = (&host, &holders, &largest, &sum);
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let entered = active(MOST).enter(host, worker, 0, SECOND);
                        sum.fetch_add(entered.by, Ordering::SeqCst);
                        if entered.granted {
                            let now = holders.fetch_add(1, Ordering::SeqCst) + 1;
                            largest.fetch_max(now, Ordering::SeqCst);
                            std::thread::yield_now();
                            holders.fetch_sub(1, Ordering::SeqCst);
                            let left = active(MOST).leave(host, worker);
                            sum.fetch_add(left.by, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        let largest = largest.into_inner();
        assert!((1..=3).contains(&largest), "{largest} held at once");
        assert_eq!(sum.into_inner(), 0);
    }
}
