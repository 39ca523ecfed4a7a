//! Whether a configuration that Envoy hands to one VM is loaded, deferred or refused.
//!
//! Envoy tries a configuration in a canary first, a VM that it throws away, and then in the
//! VM of each worker. Only the canary may refuse: if a worker's VM refuses or traps, Envoy
//! removes the filter from that worker, and requests pass there as if there were no policy.
//! So a worker that cannot load an accepted configuration keeps the current one, or answers
//! every request with 503 if it has none.
//!
//! This module decides, and has the records that VMs share; the adapter makes the calls.

mod acceptances;
mod behind;
mod in_use;

pub use acceptances::{Acceptance, Acceptances};
pub use behind::{Behind, Lag, LaggingPlugin};
pub use in_use::{Use, in_force};

/// Memory that is kept free for requests beside the configurations, when the
/// canary judges a new one: 128 MiB, twice what 20,000 requests take that are
/// held open, by docs/reference/crashes.md.
pub const REQUESTS_SHARE: u64 = 128 << 20;

/// A load requires more memory than was measured: an eighth, for pieces that lie elsewhere
/// in a VM that has been in use, and 1 MiB.
const MARGIN_DIVISOR: u64 = 8;
const MARGIN: u64 = 1 << 20;
/// What loading a text may take, times its size, where nothing was measured. The
/// policies that take the least text for their memory need 12 times as much.
const UNMEASURED_FACTOR: u64 = 32;

/// The role in which a VM loads a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first, for all: it may refuse.
    Canary,
    /// For itself: the configuration has been accepted.
    Worker,
}

/// Why a configuration cannot be loaded here and now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is wrong, which every VM that runs this code finds alike.
    Wrong(String),
    /// This VM lacks something that another may have: memory, say.
    Lack(String),
}

/// What a VM does without the configuration that it was asked to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Refuses, so that Envoy gives it to no worker.
    Refuse,
    /// Goes on with what is in force, or without any: see [`in_force`].
    GoOn,
}

impl Role {
    /// A canary is new, and what it is asked has not been accepted. A new VM of
    /// a worker comes after the canary's acceptance; in doubt it is a worker.
    #[must_use]
    pub fn of(is_new_vm: bool, is_accepted: bool) -> Self {
        if is_new_vm && !is_accepted {
            Self::Canary
        } else {
            Self::Worker
        }
    }
}

impl Obstacle {
    /// What is left to do. A new VM refuses what is wrong even if it has been
    /// accepted: that was other code, and this is the canary of the new one. A
    /// worker is not asked about a text that its canary refused.
    #[must_use]
    pub fn fallback(&self, role: Role, is_new_vm: bool) -> Fallback {
        match self {
            Self::Wrong(_) if is_new_vm => Fallback::Refuse,
            Self::Lack(_) if role == Role::Canary => Fallback::Refuse,
            _ => Fallback::GoOn,
        }
    }

    /// In words.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Wrong(reason) | Self::Lack(reason) => reason,
        }
    }
}

/// The memory that must be free before a text of `size` bytes is loaded; `measured` is what
/// the canary needed for it.
#[must_use]
pub fn head_room(size: u64, measured: Option<u64>) -> u64 {
    let need = measured.unwrap_or(size.saturating_mul(UNMEASURED_FACTOR));
    need.saturating_add(need / MARGIN_DIVISOR)
        .saturating_add(MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_a_new_vm_that_is_asked_first_is_the_canary() {
        assert_eq!(Role::of(true, false), Role::Canary);
        assert_eq!(Role::of(true, true), Role::Worker);
        assert_eq!(Role::of(false, false), Role::Worker);
        assert_eq!(Role::of(false, true), Role::Worker);
    }

    #[test]
    fn a_vm_that_has_served_never_refuses() {
        let obstacles = [Obstacle::Wrong("w".into()), Obstacle::Lack("l".into())];
        for obstacle in obstacles {
            for is_accepted in [false, true] {
                let role = Role::of(false, is_accepted);
                assert_eq!(obstacle.fallback(role, false), Fallback::GoOn);
            }
        }
    }

    #[test]
    fn a_new_worker_goes_on_if_it_lacks_something_and_new_code_refuses_what_is_wrong() {
        let lack = Obstacle::Lack("no memory".into());
        assert_eq!(lack.fallback(Role::Worker, true), Fallback::GoOn);
        assert_eq!(lack.fallback(Role::Canary, true), Fallback::Refuse);
        let wrong = Obstacle::Wrong("no such field".into());
        assert_eq!(wrong.fallback(Role::Worker, true), Fallback::Refuse);
        assert_eq!(wrong.fallback(Role::Canary, true), Fallback::Refuse);
    }

    #[test]
    fn more_room_is_asked_for_than_was_measured() {
        assert_eq!(head_room(10, Some(80 << 20)), (90 << 20) + MARGIN);
        assert_eq!(head_room(1 << 20, None), (36 << 20) + MARGIN);
        assert_eq!(head_room(u64::MAX, None), u64::MAX);
    }
}
