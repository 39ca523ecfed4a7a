//! Which workers are behind: those that run an older configuration than the one
//! accepted last, or none.
//!
//! One shared value says so, from which the two gauges are set that alerts
//! watch. A VM that is behind gives a sign of life every [`crate::HEARTBEAT_NS`]; one that
//! is silent for three beats has died, and no longer counts.

use std::collections::BTreeMap;

use crate::host::values;
use crate::shared::liveness::EXPIRY_NS;

/// The most entries: a VM has one for each plugin that is behind.
const MOST: usize = 1024;

/// What a worker has instead of the configuration accepted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// An older one.
    Older,
    /// None: it answers every request with 503.
    NotConfigured,
}

/// All that are behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind(Vec<[u64; WORDS]>);

/// The VM, the plugin's context in it, its lag, and its last sign of life.
const WORDS: usize = 4;

impl Behind {
    /// Reads the shared value. Who is silent is left out, and what is no whole
    /// entry.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], now: u64) -> Self {
        let words = values::to_words(bytes);
        let (entries, _) = words.as_chunks::<WORDS>();
        let lives = |entry: &&[u64; WORDS]| now.saturating_sub(entry[3]) < EXPIRY_NS;
        Self(entries.iter().filter(lives).copied().collect())
    }

    /// The shared value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        values::to_bytes(self.0.as_flattened())
    }

    /// Says what is true of a plugin in a VM now.
    pub fn note(&mut self, vm: u64, plugin: u32, lag: Option<Lag>, now: u64) {
        let plugin = u64::from(plugin);
        self.0.retain(|[v, p, ..]| [*v, *p] != [vm, plugin]);
        if let Some(lag) = lag
            && self.0.len() < MOST
        {
            let lag = u64::from(lag == Lag::NotConfigured);
            self.0.push([vm, plugin, lag, now]);
        }
    }

    /// How many VMs there are with this lag. One that has no configuration for one
    /// plugin counts as such, whatever it has for others.
    #[must_use]
    pub fn count(&self, lag: Lag) -> u64 {
        let mut worst: BTreeMap<u64, u64> = BTreeMap::new();
        for [vm, _, lag, _] in &self.0 {
            let known = worst.entry(*vm).or_default();
            *known = (*known).max(*lag);
        }
        let lag = u64::from(lag == Lag::NotConfigured);
        worst.values().filter(|it| **it == lag).count() as u64
    }

    /// Nobody is behind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::liveness::HEARTBEAT_NS;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn counts(behind: &Behind) -> [u64; 2] {
        [Lag::Older, Lag::NotConfigured].map(|lag| behind.count(lag))
    }

    #[test]
    fn each_counts_once_and_takes_back_what_it_said() {
        let mut behind = Behind::default();
        behind.note(1, 1, Some(Lag::Older), 0);
        behind.note(1, 1, Some(Lag::Older), 1);
        behind.note(2, 1, Some(Lag::NotConfigured), 1);
        behind.note(2, 2, Some(Lag::Older), 1);
        assert_eq!(counts(&behind), [1, 1]);
        behind.note(2, 1, Some(Lag::Older), 2);
        assert_eq!(counts(&behind), [2, 0]);
        for (vm, plugin) in [(1, 1), (2, 1), (2, 2), (3, 3)] {
            behind.note(vm, plugin, None, 3);
        }
        assert!(behind.is_empty());
    }

    #[test]
    fn who_died_does_not_count_any_more() {
        let mut behind = Behind::default();
        behind.note(1, 1, Some(Lag::Older), 0);
        behind.note(2, 1, Some(Lag::NotConfigured), HEARTBEAT_NS);
        let later = |now| Behind::from_bytes(&behind.to_bytes(), now);
        assert_eq!(counts(&later(EXPIRY_NS - 1)), [1, 1]);
        assert_eq!(counts(&later(EXPIRY_NS)), [0, 1]);
        assert!(later(EXPIRY_NS + HEARTBEAT_NS).is_empty());
    }

    #[test]
    fn a_worker_that_reads_the_clock_late_kills_nobody() {
        let mut behind = Behind::default();
        behind.note(1, 1, Some(Lag::Older), 10);
        assert_eq!(Behind::from_bytes(&behind.to_bytes(), 5), behind);
    }

    #[test]
    fn the_value_is_bounded() {
        let mut behind = Behind::default();
        for vm in 0..2 * MOST as u64 {
            behind.note(vm, 1, Some(Lag::Older), 0);
        }
        assert_eq!(behind.to_bytes().len(), MOST * WORDS * 8);
    }
}
