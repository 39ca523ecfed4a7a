//! The configurations in force, and how each has its hook called on the main thread:
//! there it shows what workers have counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::abi::ConfigScheduler;
use crate::clock::monotonic_ns;
use crate::timer;

/// Schedulers by the numbers of their configurations.
static IN_FORCE: Mutex<Vec<(u64, ConfigScheduler)>> = Mutex::new(Vec::new());
static AT_LISTENERS: AtomicUsize = AtomicUsize::new(0);

/// The main thread is going to be called.
static IS_CALLED: AtomicBool = AtomicBool::new(false);

/// So long changes of numbers wait for others to be shown with, in nanoseconds.
const DELAY_NS: u64 = 50_000_000;

/// A configuration, for as long as it is in force.
#[derive(Debug)]
pub(crate) struct InForce {
    number: u64,
    is_at_listener: bool,
}

impl InForce {
    pub(crate) fn new(number: u64, is_at_listener: bool, scheduler: ConfigScheduler) -> Self {
        if is_at_listener {
            AT_LISTENERS.fetch_add(1, Ordering::Relaxed);
        }
        in_force().push((number, scheduler));
        Self {
            number,
            is_at_listener,
        }
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        if self.is_at_listener {
            AT_LISTENERS.fetch_sub(1, Ordering::Relaxed);
        }
        in_force().retain(|(number, _)| *number != self.number);
    }
}

/// Whether any is at a listener.
pub(crate) fn is_any_at_a_listener() -> bool {
    AT_LISTENERS.load(Ordering::Relaxed) > 0
}

/// Something has changed: the main thread is called soon, once for all that changes
/// until then.
pub(crate) fn call_soon() {
    // Read first: a write costs all workers. What was changed before this is seen by
    // whoever is called after it, so neither may pass the other.
    if !IS_CALLED.load(Ordering::SeqCst) && !IS_CALLED.swap(true, Ordering::SeqCst) {
        let is_called = timer::call_at(monotonic_ns().saturating_add(DELAY_NS), call_all);
        // The next change tries again.
        IS_CALLED.fetch_and(is_called, Ordering::SeqCst);
    }
}

fn call_all() {
    IS_CALLED.store(false, Ordering::SeqCst);
    for (_, scheduler) in &*in_force() {
        scheduler.commit();
    }
}

fn in_force() -> MutexGuard<'static, Vec<(u64, ConfigScheduler)>> {
    IN_FORCE.lock().unwrap_or_else(PoisonError::into_inner)
}
