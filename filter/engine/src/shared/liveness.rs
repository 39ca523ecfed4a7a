//! Which workers are alive.
//!
//! What a worker holds of a shared quota is entered in a cell, and stays
//! there if its VM dies. So a worker that holds anything sends a heartbeat every
//! [`HEARTBEAT_NS`], in one registry for the whole process. A worker that misses its
//! heartbeats for [`EXPIRY_NS`] is presumed dead, and its claims are released.

use crate::host::shared_state::{Cells, Registration, Registry, RegistryId, Update};

/// Deaths, as the registry tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deaths {
    /// When the worker that died last expired, if any has died lately.
    pub(crate) last_death: Option<u64>,
    /// No worker that lives now can expire before this time.
    pub(crate) next: u64,
}

const SECOND_NS: u64 = 1_000_000_000;
/// The interval of heartbeats.
pub const HEARTBEAT_NS: u64 = 4 * SECOND_NS;
/// A worker that is silent for so long is presumed dead.
pub(crate) const EXPIRY_NS: u64 = 3 * HEARTBEAT_NS;
/// The dead stay in the registry for as long as it takes to find them, so that
/// all who look come to know.
const KEPT_NS: u64 = 2 * EXPIRY_NS;
/// The most workers of one process. One is a thread and a configuration.
const MOST: usize = 1024;

/// A heartbeat; `false` if it could not be entered.
pub(crate) fn heartbeat<S: Cells<RegistryId>>(shared: &S, worker: u64, now: u64) -> bool {
    let entered = shared.update(RegistryId, |Registry(workers)| {
        let others = workers.iter().filter(|it| it.worker != worker);
        let is_recent =
            |span: u64| move |it: &&Registration| now.saturating_sub(it.heartbeat_ns) < span;
        let mut kept: Vec<Registration> = others.filter(is_recent(KEPT_NS)).copied().collect();
        if kept.len() >= MOST {
            kept.retain(|it| is_recent(EXPIRY_NS)(&it));
        }
        if kept.len() >= MOST {
            return Update::Keep(false);
        }
        kept.push(Registration {
            worker,
            heartbeat_ns: now,
        });
        *workers = kept;
        Update::Write(true)
    });
    entered.unwrap_or(false)
}

/// A worker holds nothing any more: from now on its silence says nothing.
pub(crate) fn deregister<S: Cells<RegistryId>>(shared: &S, worker: u64) {
    let _ = shared.update(RegistryId, |Registry(workers)| {
        workers.retain(|it| it.worker != worker);
        Update::Write(())
    });
}

/// Looks for workers that have died.
pub(crate) fn deaths<S: Cells<RegistryId>>(shared: &S, now: u64) -> Deaths {
    let deaths = shared.update(RegistryId, |Registry(workers)| {
        let silence = |it: &Registration| now.saturating_sub(it.heartbeat_ns);
        let last_beats = |is_of: fn(u64) -> bool| {
            let of_these = workers.iter().filter(move |it| is_of(silence(it)));
            of_these.map(|it| it.heartbeat_ns)
        };
        let latest = last_beats(|silence| (EXPIRY_NS..KEPT_NS).contains(&silence)).max();
        let earliest = last_beats(|silence| silence < EXPIRY_NS).min();
        let deaths = Deaths {
            last_death: latest.map(|at| at.saturating_add(EXPIRY_NS)),
            next: earliest.unwrap_or(now).min(now).saturating_add(EXPIRY_NS),
        };
        if workers.iter().all(|it| silence(it) < KEPT_NS) {
            return Update::Keep(deaths);
        }
        workers.retain(|it| silence(it) < KEPT_NS);
        Update::Write(deaths)
    });
    deaths.unwrap_or(Deaths {
        last_death: None,
        next: now.saturating_add(EXPIRY_NS),
    })
}

/// The workers that live.
pub(crate) fn alive<S: Cells<RegistryId>>(shared: &S, now: u64) -> Vec<u64> {
    let alive = shared.update(RegistryId, |Registry(workers)| {
        let living = workers.iter();
        let living = living.filter(|it| now.saturating_sub(it.heartbeat_ns) < EXPIRY_NS);
        Update::Keep(living.map(|it| it.worker).collect())
    });
    alive.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn who_is_silent_for_three_beats_is_dead() {
        let host = FakeHost::default();
        assert!(heartbeat(&host, 1, 0) && heartbeat(&host, 2, 0));
        assert!(heartbeat(&host, 2, HEARTBEAT_NS));
        assert_eq!(alive(&host, EXPIRY_NS - 1), [1, 2]);
        assert_eq!(alive(&host, EXPIRY_NS), [2]);
        // Who lives after all is known again.
        assert!(heartbeat(&host, 1, EXPIRY_NS));
        assert_eq!(alive(&host, EXPIRY_NS), [2, 1]);
    }

    #[test]
    fn the_dead_make_room_and_the_living_do_not() {
        let host = FakeHost::default();
        for worker in 0..1024 {
            assert!(heartbeat(&host, worker, 0));
        }
        assert!(!heartbeat(&host, 1024, 0));
        assert!(heartbeat(&host, 1023, 1));
        assert!(heartbeat(&host, 1024, EXPIRY_NS));
        assert_eq!(alive(&host, EXPIRY_NS), [1023, 1024]);
    }

    #[test]
    fn who_dies_is_seen_by_all_who_look_and_who_leaves_by_none() {
        let host = FakeHost::default();
        assert!(heartbeat(&host, 1, 5) && heartbeat(&host, 2, 9));
        deregister(&host, 2);
        let dead_at = 5 + EXPIRY_NS;
        let look = |now| super::deaths(&host, now);
        let nobody = |next| Deaths {
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
        assert!(heartbeat(&host, 3, dead_at));
        assert_eq!(look(dead_at + 1).last_death, Some(dead_at));
        deregister(&host, 3);
        let forgotten = 5 + KEPT_NS;
        assert_eq!(look(forgotten), nobody(forgotten + EXPIRY_NS));
        let left = host.update(RegistryId, |workers| Update::Keep(workers.clone()));
        assert_eq!(left, Ok(Registry::default()));
    }
}
