//! Which workers are alive.
//!
//! What a worker holds of a shared quota is entered in a shared table, and stays
//! there if its VM dies. So a worker that holds anything sends a heartbeat every
//! [`HEARTBEAT_NS`], in one table for the whole process. A worker that misses its
//! heartbeats for [`EXPIRY_NS`] is presumed dead, and its claims are released.

use crate::host::values::{TableId, Tables};

/// The table of the workers that live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerRegistry(pub(crate) TableId);

const SECOND_NS: u64 = 1_000_000_000;

/// The interval of heartbeats.
pub const HEARTBEAT_NS: u64 = 4 * SECOND_NS;

/// A worker that is silent for so long is presumed dead.
pub(crate) const EXPIRY_NS: u64 = 3 * HEARTBEAT_NS;

/// Words of an entry: the worker, and when its last heartbeat was.
const WORDS: usize = 2;

/// The most workers of one process. One is a thread and a configuration.
const MOST: usize = 1024;

/// What a look at the registry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// When the worker that died last expired, if any has died lately.
    pub(crate) last_death: Option<u64>,
    /// No worker that lives now can expire before this time.
    pub(crate) next: u64,
}

/// The dead stay in the registry for as long as it takes to find them, so that
/// all who look come to know.
const KEPT_NS: u64 = 2 * EXPIRY_NS;

impl WorkerRegistry {
    /// A heartbeat; `false` if it could not be entered.
    pub(crate) fn heartbeat<T: Tables>(self, tables: &T, worker: u64, now: u64) -> bool {
        tables.update_table(self.0, |words| {
            let mut entries = within(words, now, KEPT_NS);
            entries.retain(|[other, _]| *other != worker);
            if entries.len() >= MOST {
                entries = within(entries.as_flattened(), now, EXPIRY_NS);
            }
            let has_room = entries.len() < MOST;
            entries.push([worker, now]);
            *words = entries.as_flattened().to_vec();
            has_room
        })
    }

    /// A worker holds nothing any more: from now on its silence says nothing.
    pub(crate) fn deregister<T: Tables>(self, tables: &T, worker: u64) {
        let _ = tables.update_table(self.0, |words| {
            let (entries, _) = words.as_chunks::<WORDS>();
            let others = entries.iter().filter(|[other, _]| *other != worker);
            *words = others.flatten().copied().collect();
            true
        });
    }

    /// Looks for workers that have died.
    pub(crate) fn look<T: Tables>(self, tables: &T, now: u64) -> Look {
        let mut look = Look {
            last_death: None,
            next: now.saturating_add(EXPIRY_NS),
        };
        let _ = tables.update_table(self.0, |words| {
            let entries = within(words, now, KEPT_NS);
            let living = within(words, now, EXPIRY_NS);
            let dead = entries.iter().filter(|entry| !living.contains(entry));
            let latest = dead.map(|[_, at]| *at).max();
            look.last_death = latest.map(|at| at.saturating_add(EXPIRY_NS));
            let earliest = living.iter().map(|[_, at]| *at).min().unwrap_or(now);
            look.next = earliest.min(now).saturating_add(EXPIRY_NS);
            let is_shorter = entries.len() * WORDS < words.len();
            *words = entries.as_flattened().to_vec();
            is_shorter
        });
        look
    }

    /// The workers that live.
    pub(crate) fn alive<T: Tables>(self, tables: &T, now: u64) -> Vec<u64> {
        let mut alive = Vec::new();
        tables.update_table(self.0, |words| {
            let living = within(words, now, EXPIRY_NS);
            alive = living.iter().map(|[who, _]| *who).collect();
            false
        });
        alive
    }
}

/// Workers whose last heartbeat was less than so long ago. Whatever follows the
/// last whole entry is left out.
fn within(words: &[u64], now: u64, span: u64) -> Vec<[u64; WORDS]> {
    let (entries, _) = words.as_chunks::<WORDS>();
    let is_recent = |entry: &&[u64; WORDS]| now.saturating_sub(entry[1]) < span;
    entries.iter().filter(is_recent).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const REGISTRY: WorkerRegistry = WorkerRegistry(TableId(0));

    #[test]
    fn who_is_silent_for_three_beats_is_dead() {
        let host = FakeHost::default();
        assert!(REGISTRY.heartbeat(&host, 1, 0) && REGISTRY.heartbeat(&host, 2, 0));
        assert!(REGISTRY.heartbeat(&host, 2, HEARTBEAT_NS));
        assert_eq!(REGISTRY.alive(&host, EXPIRY_NS - 1), [1, 2]);
        assert_eq!(REGISTRY.alive(&host, EXPIRY_NS), [2]);
        // Who lives after all is known again.
        assert!(REGISTRY.heartbeat(&host, 1, EXPIRY_NS));
        assert_eq!(REGISTRY.alive(&host, EXPIRY_NS), [2, 1]);
    }

    #[test]
    fn the_dead_make_room_and_the_living_do_not() {
        let host = FakeHost::default();
        for worker in 0..1024 {
            assert!(REGISTRY.heartbeat(&host, worker, 0));
        }
        assert!(!REGISTRY.heartbeat(&host, 1024, 0));
        assert!(REGISTRY.heartbeat(&host, 1023, 1));
        assert!(REGISTRY.heartbeat(&host, 1024, EXPIRY_NS));
        assert_eq!(REGISTRY.alive(&host, EXPIRY_NS), [1023, 1024]);
    }

    #[test]
    fn who_dies_is_seen_by_all_who_look_and_who_leaves_by_none() {
        let host = FakeHost::default();
        assert!(REGISTRY.heartbeat(&host, 1, 5) && REGISTRY.heartbeat(&host, 2, 9));
        REGISTRY.deregister(&host, 2);
        let dead_at = 5 + EXPIRY_NS;
        let look = |now| REGISTRY.look(&host, now);
        let nobody = |next| Look {
            last_death: None,
            next,
        };
        assert_eq!(look(9), nobody(dead_at));
        assert_eq!(look(dead_at - 1), nobody(dead_at));
        for _ in 0..2 {
            let seen = look(dead_at);
            assert_eq!(seen.last_death, Some(dead_at));
            assert_eq!(seen.next, dead_at + EXPIRY_NS);
        }
        // Others who answer do not hide it.
        assert!(REGISTRY.heartbeat(&host, 3, dead_at));
        assert_eq!(look(dead_at + 1).last_death, Some(dead_at));
        REGISTRY.deregister(&host, 3);
        let forgotten = 5 + KEPT_NS;
        assert_eq!(look(forgotten), nobody(forgotten + EXPIRY_NS));
        host.update_table(TableId(0), |words| {
            assert!(words.is_empty());
            false
        });
    }

    #[test]
    fn a_damaged_roll_is_read_as_far_as_it_goes() {
        let host = FakeHost::default();
        host.update_table(TableId(0), |words| {
            *words = vec![1, 0, 2];
            true
        });
        assert_eq!(REGISTRY.alive(&host, 0), [1]);
    }
}
