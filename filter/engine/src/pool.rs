//! How many bytes are held at once, all workers together.
//!
//! A shared table has one slot per worker: who, when it last gave a sign of
//! life, and how much it holds. Workers that hold something beat; whoever asks
//! for bytes drops the slots of those that have fallen silent, so that what a
//! dead worker held is free again after [`SILENCE_NS`].

use crate::shared::{TableId, Tables};

/// A bounded number of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) table: TableId,
    pub(crate) most: u64,
}

/// What became of asking for bytes, or of giving them back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// There was room.
    pub(crate) granted: bool,
    /// By how much the bytes held changed, those of the dead included.
    pub(crate) by: i64,
}

#[derive(Clone, Copy)]
struct Slot {
    worker: u64,
    beat: u64,
    bytes: u64,
}

const SECOND_NS: u64 = 1_000_000_000;

/// How often a worker that holds something gives a sign of life.
pub(crate) const BEAT_NS: u64 = 4 * SECOND_NS;

/// A worker that is silent for so long is taken for dead.
const SILENCE_NS: u64 = 3 * BEAT_NS;

const WORDS: usize = 3;

/// Workers that can hold something at once.
const MOST_SLOTS: usize = 1024;

/// Giving back must not fail, however busy the others are.
const TRIES: usize = 16;

impl Pool {
    /// Takes bytes for `worker`, if there is room for them.
    pub(crate) fn take<T: Tables>(self, tables: &T, worker: u64, now: u64, bytes: u64) -> Change {
        let mut change = Change::default();
        let kept = tables.update_table(self.table, |words| {
            change = change_table(words, |slots| {
                slots.retain(|slot| now.saturating_sub(slot.beat) < SILENCE_NS);
                let room = self.most.saturating_sub(total(slots));
                bytes <= room && add(slots, worker, now, bytes)
            });
            change != Change::default()
        });
        if kept { change } else { Change::default() }
    }

    /// Gives bytes of `worker` back.
    pub(crate) fn give_back<T: Tables>(
        self,
        tables: &T,
        worker: u64,
        now: u64,
        bytes: u64,
    ) -> Change {
        let mut change = Change::default();
        for _ in 0..TRIES {
            let kept = tables.update_table(self.table, |words| {
                change = change_table(words, |slots| {
                    subtract(slots, worker, now, bytes);
                    true
                });
                true
            });
            if kept {
                return change;
            }
        }
        Change::default()
    }

    /// Says that `worker` is alive, if it has not said so for a while.
    pub(crate) fn beat<T: Tables>(self, tables: &T, worker: u64, now: u64) {
        tables.update_table(self.table, |words| {
            let mut slots = slots(words);
            let own = slots.iter_mut().find(|slot| slot.worker == worker);
            let Some(slot) = own.filter(|slot| now.saturating_sub(slot.beat) >= BEAT_NS / 2) else {
                return false;
            };
            slot.beat = now;
            *words = to_words(&slots);
            true
        });
    }
}

#[inline(never)]
fn change_table(words: &mut Vec<u64>, step: impl FnOnce(&mut Vec<Slot>) -> bool) -> Change {
    let mut slots = slots(words);
    let before = total(&slots);
    let granted = step(&mut slots);
    *words = to_words(&slots);
    let by = i128::from(total(&slots)) - i128::from(before);
    Change {
        granted,
        by: i64::try_from(by).unwrap_or(0),
    }
}

fn add(slots: &mut Vec<Slot>, worker: u64, now: u64, bytes: u64) -> bool {
    if let Some(slot) = slots.iter_mut().find(|slot| slot.worker == worker) {
        slot.bytes = slot.bytes.saturating_add(bytes);
        slot.beat = now;
        return true;
    }
    let has_room = slots.len() < MOST_SLOTS;
    if has_room {
        slots.push(Slot {
            worker,
            beat: now,
            bytes,
        });
    }
    has_room
}

fn subtract(slots: &mut Vec<Slot>, worker: u64, now: u64, bytes: u64) {
    if let Some(slot) = slots.iter_mut().find(|slot| slot.worker == worker) {
        slot.bytes = slot.bytes.saturating_sub(bytes);
        slot.beat = now;
    }
    slots.retain(|slot| slot.bytes > 0);
}

fn total(slots: &[Slot]) -> u64 {
    let bytes = slots.iter().map(|slot| slot.bytes);
    bytes.fold(0, u64::saturating_add)
}

/// Whatever follows the last whole slot is left out.
fn slots(words: &[u64]) -> Vec<Slot> {
    let (slots, _) = words.as_chunks::<WORDS>();
    let slot = |&[worker, beat, bytes]: &[u64; WORDS]| Slot {
        worker,
        beat,
        bytes,
    };
    slots.iter().map(slot).collect()
}

fn to_words(slots: &[Slot]) -> Vec<u64> {
    slots
        .iter()
        .flat_map(|slot| [slot.worker, slot.beat, slot.bytes])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const POOL: Pool = Pool {
        table: TableId(0),
        most: 100,
    };

    #[test]
    fn there_is_room_for_so_much_and_no_more() {
        let host = FakeHost::default();
        assert!(POOL.take(&host, 1, 0, 60).granted);
        assert!(POOL.take(&host, 2, 0, 40).granted);
        assert_eq!(POOL.take(&host, 1, 0, 1), Change::default());
        assert_eq!(POOL.give_back(&host, 1, 0, 10).by, -10);
        assert!(!POOL.take(&host, 2, 0, 11).granted);
        assert_eq!(POOL.take(&host, 2, 0, 10).by, 10);
    }

    #[test]
    fn who_holds_nothing_gives_nothing_back() {
        let host = FakeHost::default();
        assert!(POOL.take(&host, 1, 0, 100).granted);
        assert_eq!(POOL.give_back(&host, 2, 0, 100).by, 0);
        assert_eq!(POOL.give_back(&host, 1, 0, 1_000).by, -100);
    }

    #[test]
    fn what_a_silent_worker_held_is_free_within_15_seconds() {
        const { assert!(SILENCE_NS < 15 * SECOND_NS) };
        let host = FakeHost::default();
        assert!(POOL.take(&host, 1, 0, 100).granted);
        assert!(!POOL.take(&host, 2, SILENCE_NS - 1, 1).granted);
        let taken = POOL.take(&host, 2, SILENCE_NS, 1);
        assert_eq!((taken.granted, taken.by), (true, 1 - 100));
        // Should it live after all, it takes nothing from the others.
        assert_eq!(POOL.give_back(&host, 1, SILENCE_NS, 100).by, 0);
    }

    #[test]
    fn who_beats_is_not_taken_for_dead() {
        let host = FakeHost::default();
        assert!(POOL.take(&host, 1, 0, 100).granted);
        for beat in 1..10 {
            POOL.beat(&host, 1, beat * BEAT_NS);
            assert!(!POOL.take(&host, 2, beat * BEAT_NS, 1).granted);
        }
        // Who holds nothing has no slot to keep alive.
        POOL.beat(&host, 2, 0);
        assert!(!POOL.take(&host, 3, 9 * BEAT_NS, 1).granted);
    }

    #[test]
    fn a_damaged_table_is_read_as_far_as_it_goes() {
        use crate::shared::Tables;
        let host = FakeHost::default();
        host.update_table(TableId(0), |words| {
            *words = vec![1, 0, u64::MAX, 7];
            true
        });
        assert!(!POOL.take(&host, 2, 0, 1).granted);
        assert_eq!(POOL.give_back(&host, 1, 0, u64::MAX).by, 0);
        assert!(POOL.take(&host, 2, 0, 1).granted);
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn threads_never_hold_more_than_the_bound() {
        use crate::testing::ThreadedHost;
        use std::sync::atomic::{AtomicU64, Ordering};

        let host = ThreadedHost::new(0, 0);
        let (held, largest) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let (host, held, largest) = (&host, &held, &largest);
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let bytes = (worker * 7 + round) % 40 + 1;
                        if POOL.take(host, worker, 0, bytes).granted {
                            let now = held.fetch_add(bytes, Ordering::SeqCst) + bytes;
                            largest.fetch_max(now, Ordering::SeqCst);
                            std::thread::yield_now();
                            held.fetch_sub(bytes, Ordering::SeqCst);
                            let _ = POOL.give_back(host, worker, 0, bytes);
                        }
                    }
                });
            }
        });
        let largest = largest.into_inner();
        assert!((1..=100).contains(&largest), "{largest} bytes at once");
        assert_eq!(POOL.take(&host, 9, 0, 100).by, 100, "something leaked");
    }
}
