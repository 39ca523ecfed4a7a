//! The roll: which workers are alive.
//!
//! What a worker holds of something bounded stands in a shared table, and stays
//! there if its VM dies. So whoever holds something says every [`BEAT_NS`] that
//! it lives, in one table for the whole process. Who is silent for
//! [`SILENCE_NS`] is taken for dead, and what it held is free.

use crate::shared::{TableId, Tables};

/// The table of those who live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roll(pub(crate) TableId);

const SECOND_NS: u64 = 1_000_000_000;

/// How often a worker that holds something gives a sign of life.
pub(crate) const BEAT_NS: u64 = 4 * SECOND_NS;

/// A worker that is silent for so long is taken for dead.
pub(crate) const SILENCE_NS: u64 = 3 * BEAT_NS;

/// Words of an entry: the worker, and when it last gave a sign of life.
const WORDS: usize = 2;

/// The most workers of one process. One is a thread and a configuration.
const MOST: usize = 1024;

impl Roll {
    /// A sign of life; `false` if it could not be given.
    pub(crate) fn answer<T: Tables>(self, tables: &T, worker: u64, now: u64) -> bool {
        tables.update_table(self.0, |words| {
            let mut entries = living(words, now);
            entries.retain(|[other, _]| *other != worker);
            let has_room = entries.len() < MOST;
            entries.push([worker, now]);
            *words = entries.as_flattened().to_vec();
            has_room
        })
    }

    /// Those who live.
    pub(crate) fn call<T: Tables>(self, tables: &T, now: u64) -> Vec<u64> {
        let mut alive = Vec::new();
        tables.update_table(self.0, |words| {
            alive = living(words, now).iter().map(|[who, _]| *who).collect();
            false
        });
        alive
    }
}

/// Whatever follows the last whole entry is left out.
fn living(words: &[u64], now: u64) -> Vec<[u64; WORDS]> {
    let (entries, _) = words.as_chunks::<WORDS>();
    let is_alive = |entry: &&[u64; WORDS]| now.saturating_sub(entry[1]) < SILENCE_NS;
    entries.iter().filter(is_alive).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ROLL: Roll = Roll(TableId(0));

    #[test]
    fn who_is_silent_for_three_beats_is_dead() {
        let host = FakeHost::default();
        assert!(ROLL.answer(&host, 1, 0) && ROLL.answer(&host, 2, 0));
        assert!(ROLL.answer(&host, 2, BEAT_NS));
        assert_eq!(ROLL.call(&host, SILENCE_NS - 1), [1, 2]);
        assert_eq!(ROLL.call(&host, SILENCE_NS), [2]);
        // Who lives after all is known again.
        assert!(ROLL.answer(&host, 1, SILENCE_NS));
        assert_eq!(ROLL.call(&host, SILENCE_NS), [2, 1]);
    }

    #[test]
    fn the_dead_make_room_and_the_living_do_not() {
        let host = FakeHost::default();
        for worker in 0..1024 {
            assert!(ROLL.answer(&host, worker, 0));
        }
        assert!(!ROLL.answer(&host, 1024, 0));
        assert!(ROLL.answer(&host, 1023, 1));
        assert!(ROLL.answer(&host, 1024, SILENCE_NS));
        assert_eq!(ROLL.call(&host, SILENCE_NS), [1023, 1024]);
    }

    #[test]
    fn a_damaged_roll_is_read_as_far_as_it_goes() {
        let host = FakeHost::default();
        host.update_table(TableId(0), |words| {
            *words = vec![1, 0, 2];
            true
        });
        assert_eq!(ROLL.call(&host, 0), [1]);
    }
}
