//! When to wake which sleeper: the timer loop of every adapter.
//!
//! An adapter has one scheduler for each timer of its host. Sleepers have keys: exchanges
//! (`Exchange::wakes_at`), workers (`Worker::wakes_at`), and chores of the adapter. The
//! adapter keeps the sleepers themselves, and wakes them as its host requires.
//!
//! ```text
//! after an event    set(exchange, its wakes_at); set(worker, its wakes_at);
//!                   arm(): set the host's timer, if it gives a time
//! the timer comes   begin(); next_due(now): `Exchange::timer` or `Worker::tick`,
//!                   until nobody is due any more, or so many are woken as the host
//!                   can take at once;
//!                   end(): set the host's timer, or stop it
//! ```

use std::collections::BTreeSet;
use std::hash::Hash;

use hashbrown::HashMap;

/// Deadlines of those who sleep, at most one each, and what the host's timer is
/// set for. Times are nanoseconds of the host's monotonic clock.
///
/// Moving a deadline is O(log n), finding that it has not moved O(1); who goes
/// leaves nothing behind.
#[derive(Debug)]
pub struct Scheduler<K> {
    by_time: BTreeSet<(u64, K)>,
    by_key: HashMap<K, u64>,
    /// When the host's timer comes.
    armed: Option<u64>,
}

impl<K> Default for Scheduler<K> {
    fn default() -> Self {
        Self {
            by_time: BTreeSet::new(),
            by_key: HashMap::default(),
            armed: None,
        }
    }
}

impl<K: Copy + Ord + Hash> Scheduler<K> {
    /// Wakes it at this time, or not at all, whatever was set before.
    pub fn set(&mut self, key: K, at: Option<u64>) {
        let before = match at {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        self.by_time.extend(at.map(|at| (at, key)));
    }

    /// The earliest deadline.
    #[must_use]
    pub fn earliest(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The time that the host's timer has to be set to, if it would come too late.
    /// A timer that comes too early does no harm, so a deadline that goes or moves
    /// away changes nothing.
    #[must_use = "the host's timer is set by the adapter"]
    pub fn arm(&mut self) -> Option<u64> {
        let earliest = self.earliest()?;
        if self.armed.is_some_and(|armed| armed <= earliest) {
            return None;
        }
        self.armed = Some(earliest);
        self.armed
    }

    /// The host's timer has come. Until all that are due have been woken, there is
    /// no need to set it.
    pub fn begin(&mut self) {
        self.armed = Some(0);
    }

    /// Takes out the one with the earliest deadline, if it is due.
    pub fn next_due(&mut self, now: u64) -> Option<K> {
        if self.earliest()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Nobody else is woken now: the time that the host's timer has to be set to next,
    /// which has passed if somebody is still due. `None`: nobody sleeps, so that it may
    /// stop.
    #[must_use = "the host's timer is set by the adapter"]
    pub fn end(&mut self) -> Option<u64> {
        self.armed = self.earliest();
        self.armed
    }
}

#[cfg(test)]
mod tests {
    use super::Scheduler;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_earliest_is_due_first_and_the_gone_never() {
        let mut scheduler = Scheduler::default();
        scheduler.set(1, Some(30));
        scheduler.set(2, Some(10));
        scheduler.set(3, Some(20));
        scheduler.set(1, Some(5));
        scheduler.set(3, None);
        assert_eq!(scheduler.earliest(), Some(5));
        assert_eq!(scheduler.next_due(4), None);
        assert_eq!(scheduler.next_due(10), Some(1));
        assert_eq!(scheduler.next_due(10), Some(2));
        assert_eq!(scheduler.next_due(u64::MAX), None);
        assert_eq!(scheduler.earliest(), None);
    }

    #[test]
    fn the_timer_is_set_only_if_it_would_come_too_late() {
        let mut scheduler = Scheduler::default();
        assert_eq!(scheduler.arm(), None);
        scheduler.set(1, Some(20));
        assert_eq!(scheduler.arm(), Some(20));
        scheduler.set(2, Some(30));
        assert_eq!(scheduler.arm(), None);
        scheduler.set(2, Some(10));
        assert_eq!(scheduler.arm(), Some(10));
        scheduler.set(2, None);
        assert_eq!(scheduler.arm(), None);

        scheduler.begin();
        // It came for nobody.
        assert_eq!(scheduler.next_due(10), None);
        assert_eq!(scheduler.end(), Some(20));
        scheduler.begin();
        assert_eq!(scheduler.next_due(20), Some(1));
        // While the others are woken nothing needs to be set.
        scheduler.set(1, Some(40));
        assert_eq!(scheduler.arm(), None);
        assert_eq!(scheduler.next_due(20), None);
        assert_eq!(scheduler.end(), Some(40));
        scheduler.begin();
        assert_eq!(scheduler.next_due(50), Some(1));
        assert_eq!(scheduler.end(), None);
        scheduler.set(3, Some(60));
        assert_eq!(scheduler.arm(), Some(60));
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(steps in proptest::collection::vec((0_u32..8, 0_u64..20, 0_u8..3), 0..60)) {
            let mut scheduler = Scheduler::default();
            let mut list: Vec<(u64, u32)> = Vec::new();
            for (key, time, step) in steps {
                match step {
                    0 => {
                        scheduler.set(key, Some(time));
                        list.retain(|(_, other)| *other != key);
                        list.push((time, key));
                    }
                    1 => {
                        scheduler.set(key, None);
                        list.retain(|(_, other)| *other != key);
                    }
                    _ => {
                        list.sort_unstable();
                        let due = list.first().copied().filter(|(at, _)| *at <= time);
                        list.retain(|entry| Some(*entry) != due);
                        prop_assert_eq!(scheduler.next_due(time), due.map(|(_, other)| other));
                    }
                }
                prop_assert_eq!(scheduler.earliest(), list.iter().map(|(at, _)| *at).min());
            }
        }
    }
}
