//! What the workers of the process share, as plain memory: each cell behind a lock
//! that is held for the length of one change, each entry of an account an atomic.
//!
//! All of it belongs to the process and outlives configurations: an update finds
//! what the one before has counted. So the module must stay loaded, which it sees
//! to itself (`abi`).

mod accounts;
mod cells;
mod store;

pub(crate) use accounts::{account, accounts, post, set, total};
pub(crate) use cells::{Located, PlanCells};

/// Called while the lock of what is shared is held, before it changes, with the name of
/// its kind.
#[cfg(feature = "planted-panics")]
pub(crate) static ON_LOCK: std::sync::OnceLock<fn(&str)> = std::sync::OnceLock::new();

#[cfg(feature = "planted-panics")]
pub(crate) fn locked(kind: &str) {
    if let Some(call) = ON_LOCK.get() {
        call(kind);
    }
}
