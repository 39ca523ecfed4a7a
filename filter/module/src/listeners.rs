//! The configurations at listeners that are in force: their metrics have the names that
//! people look for, and their streams show what others owe.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::abi::ConfigScheduler;

/// Those with a scheduler, by their numbers.
static IN_FORCE: Mutex<Vec<(u64, ConfigScheduler)>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A configuration at a listener, for as long as it is in force.
#[derive(Debug)]
pub(crate) struct AtListener(u64);

impl AtListener {
    pub(crate) fn new(number: u64, scheduler: Option<ConfigScheduler>) -> Self {
        COUNT.fetch_add(1, Ordering::Relaxed);
        if let Some(scheduler) = scheduler {
            in_force().push((number, scheduler));
        }
        Self(number)
    }
}

impl Drop for AtListener {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        in_force().retain(|(number, _)| *number != self.0);
    }
}

/// Whether there is any.
pub(crate) fn are_there() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Has a hook of any of them called on the main thread.
pub(crate) fn call_one() {
    if let Some((_, scheduler)) = in_force().first() {
        scheduler.commit();
    }
}

fn in_force() -> MutexGuard<'static, Vec<(u64, ConfigScheduler)>> {
    IN_FORCE.lock().unwrap_or_else(PoisonError::into_inner)
}
