//! Which workers are behind: those that run an older configuration than the one
//! accepted last, or none.
//!
//! One shared cell says so, from which the two gauges are set that alerts
//! watch. A VM that is behind gives a sign of life every [`crate::HEARTBEAT_NS`]; one that
//! misses three heartbeats has died, and no longer counts.

use std::collections::BTreeMap;

use crate::shared::liveness::EXPIRY_NS;

/// The most entries: a VM has one for each plugin that is behind.
const MOST: usize = 1024;

/// What a worker has instead of the configuration accepted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lag {
    /// An older one.
    Older,
    /// None: it answers every request with 503.
    NotConfigured,
}

/// All that are behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind(pub Vec<LaggingPlugin>);

/// A plugin that is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaggingPlugin {
    /// The VM.
    pub vm: u64,
    /// The plugin's context in it.
    pub plugin: u64,
    /// What it has instead.
    pub lag: Lag,
    /// The VM's last sign of life.
    pub heartbeat_ns: u64,
}

impl Behind {
    /// Forgets the silent.
    pub fn forget_expired(&mut self, now: u64) {
        self.0
            .retain(|it| now.saturating_sub(it.heartbeat_ns) < EXPIRY_NS);
    }

    /// Says what is true of a plugin in a VM now.
    pub fn note(&mut self, vm: u64, plugin: u32, lag: Option<Lag>, now: u64) {
        let plugin = u64::from(plugin);
        self.0.retain(|it| (it.vm, it.plugin) != (vm, plugin));
        if let Some(lag) = lag
            && self.0.len() < MOST
        {
            self.0.push(LaggingPlugin {
                vm,
                plugin,
                lag,
                heartbeat_ns: now,
            });
        }
    }

    /// How many VMs there are with this lag. One that has no configuration for one
    /// plugin counts as such, whatever it has for others.
    #[must_use]
    pub fn count(&self, lag: Lag) -> u64 {
        let mut worst: BTreeMap<u64, Lag> = BTreeMap::new();
        for it in &self.0 {
            let known = worst.entry(it.vm).or_insert(it.lag);
            *known = (*known).max(it.lag);
        }
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
        let later = |now| {
            let mut behind = behind.clone();
            behind.forget_expired(now);
            behind
        };
        assert_eq!(counts(&later(EXPIRY_NS - 1)), [1, 1]);
        assert_eq!(counts(&later(EXPIRY_NS)), [0, 1]);
        assert!(later(EXPIRY_NS + HEARTBEAT_NS).is_empty());
    }

    #[test]
    fn a_worker_that_reads_the_clock_late_kills_nobody() {
        let mut behind = Behind::default();
        behind.note(1, 1, Some(Lag::Older), 10);
        let known = behind.clone();
        behind.forget_expired(5);
        assert_eq!(behind, known);
    }

    #[test]
    fn the_value_is_bounded() {
        let mut behind = Behind::default();
        for vm in 0..2 * MOST as u64 {
            behind.note(vm, 1, Some(Lag::Older), 0);
        }
        assert_eq!(behind.0.len(), MOST);
    }
}
