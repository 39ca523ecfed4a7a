//! How far a process-wide number went over the last interval, as one worker saw
//! it: its readings, one for each slice of the interval.
//!
//! Both answers err on the side of refusing: [`Window::spent`] goes back a
//! slice too far, [`Window::gained`] a slice too little.

use std::collections::VecDeque;

/// Readings over a span of time.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Nanoseconds that are looked back on.
    span: u64,
    /// Time and value, the oldest first; at most one is older than the span.
    readings: VecDeque<(u64, u64)>,
    /// The last reading as the host gave it, and what to add to it: an
    /// administrator may reset counters.
    raw: u64,
    offset: u64,
}

impl Window {
    /// A window that begins now; what was before it is not known.
    pub(crate) fn new(span: u64, now: u64, value: u64) -> Self {
        Self {
            span,
            readings: VecDeque::from([(now, value)]),
            raw: value,
            offset: 0,
        }
    }

    /// The same, but all that the number grew by before is taken to be of
    /// this span.
    pub(crate) fn of_all(span: u64, now: u64, value: u64) -> Self {
        Self {
            readings: VecDeque::from([(now, 0), (now, value)]),
            ..Self::new(span, now, value)
        }
    }

    /// Looks back on another span from now on.
    pub(crate) fn set_span(&mut self, span: u64) {
        self.span = span;
    }

    /// Takes a reading. `slices` is how many readings make up the span.
    pub(crate) fn observe(&mut self, now: u64, raw: u64, slices: u64) {
        if raw < self.raw {
            self.offset = self.offset.saturating_add(self.raw);
        }
        self.raw = raw;
        let value = raw.saturating_add(self.offset);
        let slice = (self.span / slices).max(1);
        // The first one stays where it is: the others are compared with it.
        let is_first = self.readings.len() < 2;
        match self.readings.back_mut() {
            Some(last) if !is_first && last.0 / slice == now / slice => {
                *last = (now.max(last.0), value);
            }
            _ => self.readings.push_back((now, value)),
        }
        let Some(since) = now.checked_sub(self.span) else {
            return;
        };
        while self.readings.get(1).is_some_and(|(time, _)| *time <= since) {
            self.readings.pop_front();
        }
    }

    /// How much the number grew over the span; rather too much.
    pub(crate) fn spent(&self) -> u64 {
        let first = self.readings.front().map_or(0, |(_, value)| *value);
        self.latest().saturating_sub(first)
    }

    /// How much the number grew over the span that ends now; rather too little, as what
    /// has come since the last reading is not known.
    pub(crate) fn gained(&self, now: u64) -> u64 {
        let since = now.checked_sub(self.span);
        let is_within = |time: u64| since.is_none_or(|since| time > since);
        let within = self.readings.iter().find(|(time, _)| is_within(*time));
        self.latest()
            .saturating_sub(within.map_or(0, |(_, value)| *value))
    }

    fn latest(&self) -> u64 {
        self.readings.back().map_or(0, |(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_older_than_the_span_is_forgotten() {
        let mut window = Window::new(100, 0, 5);
        window.observe(10, 8, 10);
        assert_eq!((window.spent(), window.gained(10)), (3, 3));
        window.observe(109, 8, 10);
        assert_eq!(window.spent(), 3);
        window.observe(110, 9, 10);
        assert_eq!((window.spent(), window.gained(110)), (1, 1));
    }

    #[test]
    fn what_came_before_is_taken_to_be_of_the_span_if_asked_for() {
        let mut window = Window::of_all(100, 1_000, 5);
        assert_eq!(window.spent(), 5);
        window.observe(1_099, 7, 10);
        assert_eq!(window.spent(), 7);
        window.observe(1_100, 7, 10);
        assert_eq!(window.spent(), 2);
    }

    #[test]
    fn nothing_is_lost_within_a_slice() {
        let mut window = Window::new(1_000, 0, 0);
        for value in 1..5 {
            window.observe(value, value, 10);
            assert_eq!((window.spent(), window.gained(value)), (value, value));
        }
    }

    #[test]
    fn a_reset_counter_forgets_nothing() {
        let mut window = Window::new(100, 0, 0);
        window.observe(10, 7, 10);
        window.observe(30, 2, 10);
        assert_eq!(window.spent(), 9);
        window.observe(110, 2, 10);
        assert_eq!(window.spent(), 2);
    }

    proptest! {
        #[test]
        fn the_truth_lies_between_both_answers(
            steps in proptest::collection::vec((0_u64..40, 0_u64..5), 1..200),
            lag in 0_u64..200,
        ) {
            const SPAN: u64 = 1_000;
            let mut window = Window::new(SPAN, 0, 0);
            let (mut now, mut value) = (0, 0);
            let mut events = Vec::new();
            for (wait, growth) in steps {
                now += wait;
                value += growth;
                events.push((now, growth));
                window.observe(now, value, 20);
                let truth: u64 = events
                    .iter()
                    .filter(|(time, _)| time + SPAN > now)
                    .map(|(_, growth)| growth)
                    .sum();
                let wider: u64 = events
                    .iter()
                    .filter(|(time, _)| time + SPAN + SPAN / 20 + 40 >= now)
                    .map(|(_, growth)| growth)
                    .sum();
                prop_assert!(window.gained(now) <= truth);
                // Also later, without another reading.
                let later = now + lag;
                let still: u64 = events
                    .iter()
                    .filter(|(time, _)| time + SPAN > later)
                    .map(|(_, growth)| growth)
                    .sum();
                prop_assert!(window.gained(later) <= still);
                prop_assert!((truth..=wider).contains(&window.spent()));
            }
        }
    }
}
