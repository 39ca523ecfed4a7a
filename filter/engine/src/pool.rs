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

/// What a worker wants of the table.
#[derive(Clone, Copy)]
enum Ask {
    /// So many bytes, if no more than so many are held then.
    Take { bytes: u64, most: u64 },
    /// To be rid of so many.
    GiveBack(u64),
    /// To be known to be alive.
    Beat,
}

const SECOND_NS: u64 = 1_000_000_000;

/// How often a worker that holds something gives a sign of life.
pub(crate) const BEAT_NS: u64 = 4 * SECOND_NS;

/// A worker that is silent for so long is taken for dead.
const SILENCE_NS: u64 = 3 * BEAT_NS;

/// Words of a slot: worker, beat, bytes.
const WORDS: usize = 3;

/// Workers that can hold something at once.
const MOST_SLOTS: usize = 1024;

/// Giving back must not fail, however busy the others are.
const TRIES: usize = 16;

impl Pool {
    /// Takes bytes for `worker`, if there is room for them.
    pub(crate) fn take<T: Tables>(self, tables: &T, worker: u64, now: u64, bytes: u64) -> Change {
        let most = self.most;
        let taken = self.change(tables, worker, now, Ask::Take { bytes, most });
        taken.unwrap_or_default()
    }

    /// Gives bytes of `worker` back.
    pub(crate) fn give_back<T: Tables>(
        self,
        tables: &T,
        worker: u64,
        now: u64,
        bytes: u64,
    ) -> Change {
        (0..TRIES)
            .find_map(|_| self.change(tables, worker, now, Ask::GiveBack(bytes)))
            .unwrap_or_default()
    }

    /// Says that `worker` is alive, if it has not said so for a while.
    pub(crate) fn beat<T: Tables>(self, tables: &T, worker: u64, now: u64) {
        let _ = self.change(tables, worker, now, Ask::Beat);
    }

    /// `None` if nothing was written.
    #[inline(never)]
    fn change<T: Tables>(self, tables: &T, worker: u64, now: u64, ask: Ask) -> Option<Change> {
        let mut change = None;
        let kept = tables.update_table(self.table, |words| {
            change = change_table(words, worker, now, ask);
            change.is_some()
        });
        change.filter(|_| kept)
    }
}

/// Changes the table; `None` if it is to stay as it is.
fn change_table(words: &mut Vec<u64>, worker: u64, now: u64, ask: Ask) -> Option<Change> {
    let before = total(words);
    if let Ask::Take { .. } = ask {
        keep(words, |beat, _| now.saturating_sub(beat) < SILENCE_NS);
    }
    let alive = total(words);
    let mut granted = true;
    match (ask, find(words, worker)) {
        (Ask::Take { bytes, most }, _) if bytes > most.saturating_sub(alive) => granted = false,
        (Ask::Take { bytes, .. }, Some([_, beat, held])) => {
            (*beat, *held) = (now, held.saturating_add(bytes));
        }
        (Ask::Take { bytes, .. }, None) => {
            granted = words.len() < MOST_SLOTS * WORDS;
            if granted {
                words.truncate(words.len() / WORDS * WORDS);
                words.extend([worker, now, bytes]);
            }
        }
        (Ask::GiveBack(bytes), Some([_, beat, held])) => {
            (*beat, *held) = (now, held.saturating_sub(bytes));
            keep(words, |_, held| held > 0);
        }
        (Ask::Beat, Some([_, beat, _])) if now.saturating_sub(*beat) >= BEAT_NS / 2 => *beat = now,
        (Ask::GiveBack(_), None) => {}
        (Ask::Beat, _) => return None,
    }
    let after = total(words);
    let by = i64::try_from(after.abs_diff(before)).unwrap_or(0);
    let by = if after < before { -by } else { by };
    (granted || by != 0).then_some(Change { granted, by })
}

/// Whatever follows the last whole slot is no slot.
fn find(words: &mut [u64], worker: u64) -> Option<&mut [u64; WORDS]> {
    let (slots, _) = words.as_chunks_mut::<WORDS>();
    slots.iter_mut().find(|[who, ..]| *who == worker)
}

fn total(words: &[u64]) -> u64 {
    let (slots, _) = words.as_chunks::<WORDS>();
    slots
        .iter()
        .fold(0, |sum: u64, [.., held]| sum.saturating_add(*held))
}

/// Keeps those slots of whose beat and bytes this is true.
fn keep(words: &mut Vec<u64>, which: impl Fn(u64, u64) -> bool) {
    let (slots, _) = words.as_chunks::<WORDS>();
    let kept = slots.iter().filter(|[_, beat, held]| which(*beat, *held));
    *words = kept.flatten().copied().collect();
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

        let host = ThreadedHost::new(0);
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
