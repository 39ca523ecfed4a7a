//! Who waits until when. An adapter keeps one of these beside its one timer.

use std::collections::BTreeSet;

use hashbrown::HashMap;

/// Deadlines of waiting exchanges, at most one each.
///
/// Moving a deadline is O(log n), finding that it has not moved O(1); an
/// exchange that goes leaves nothing behind.
#[derive(Debug, Default)]
pub struct Deadlines {
    by_time: BTreeSet<(u64, u32)>,
    by_exchange: HashMap<u32, u64>,
}

impl Deadlines {
    /// `exchange` waits until `at`, whatever it waited for before.
    pub fn set(&mut self, exchange: u32, at: u64) {
        if self.by_exchange.get(&exchange) == Some(&at) {
            return;
        }
        self.remove(exchange);
        self.by_exchange.insert(exchange, at);
        self.by_time.insert((at, exchange));
    }

    /// `exchange` waits until `at`, or less long if it does already.
    pub fn bring_forward(&mut self, exchange: u32, at: u64) {
        let earlier = self.by_exchange.get(&exchange).copied();
        self.set(exchange, earlier.map_or(at, |earlier| earlier.min(at)));
    }

    /// `exchange` waits no more.
    pub fn remove(&mut self, exchange: u32) {
        if let Some(at) = self.by_exchange.remove(&exchange) {
            self.by_time.remove(&(at, exchange));
        }
    }

    /// The earliest deadline.
    #[must_use]
    pub fn earliest(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the exchange with the earliest deadline, if it is due.
    pub fn pop_due(&mut self, now: u64) -> Option<u32> {
        if self.earliest()? > now {
            return None;
        }
        let (_, exchange) = self.by_time.pop_first()?;
        self.by_exchange.remove(&exchange);
        Some(exchange)
    }
}

#[cfg(test)]
mod tests {
    use super::Deadlines;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_earliest_is_due_first_and_the_gone_never() {
        let mut deadlines = Deadlines::default();
        deadlines.set(1, 30);
        deadlines.set(2, 10);
        deadlines.set(3, 20);
        deadlines.set(1, 5);
        deadlines.remove(3);
        deadlines.bring_forward(1, 9);
        assert_eq!(deadlines.earliest(), Some(5));
        deadlines.set(1, 9);
        deadlines.bring_forward(1, 5);
        assert_eq!(deadlines.earliest(), Some(5));
        assert_eq!(deadlines.pop_due(4), None);
        assert_eq!(deadlines.pop_due(10), Some(1));
        assert_eq!(deadlines.pop_due(10), Some(2));
        assert_eq!(deadlines.pop_due(u64::MAX), None);
        assert_eq!(deadlines.earliest(), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(steps in proptest::collection::vec((0_u32..8, 0_u64..20, 0_u8..3), 0..60)) {
            let mut deadlines = Deadlines::default();
            let mut list: Vec<(u64, u32)> = Vec::new();
            for (exchange, time, step) in steps {
                match step {
                    0 => {
                        deadlines.set(exchange, time);
                        list.retain(|(_, other)| *other != exchange);
                        list.push((time, exchange));
                    }
                    1 => {
                        deadlines.remove(exchange);
                        list.retain(|(_, other)| *other != exchange);
                    }
                    _ => {
                        list.sort_unstable();
                        let due = list.first().copied().filter(|(at, _)| *at <= time);
                        list.retain(|entry| Some(*entry) != due);
                        prop_assert_eq!(deadlines.pop_due(time), due.map(|(_, other)| other));
                    }
                }
                prop_assert_eq!(deadlines.earliest(), list.iter().map(|(at, _)| *at).min());
            }
        }
    }
}
