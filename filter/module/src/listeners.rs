//! The configurations at listeners that are in force: their metrics have the names that
//! people look for, and their streams show what others owe.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::abi::{ConfigScheduler, can_count_for_configs};
use crate::clock::monotonic_ns;
use crate::owed::handed_over;
use crate::timer;

/// Those with a scheduler, by their numbers.
static IN_FORCE: Mutex<Vec<(u64, ConfigScheduler)>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The timer is going to ask.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// What is owed waits so long for a stream before the main thread is asked.
const PATIENCE: Duration = Duration::from_millis(100);

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

/// Has the main thread show what is owed, if nobody has shown it soon.
pub(crate) fn ask_soon() {
    // Read first: a write costs all workers.
    if !IS_ASKED.load(Ordering::Relaxed)
        && can_count_for_configs()
        && !IS_ASKED.swap(true, Ordering::Relaxed)
    {
        let nanos = u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX);
        timer::ask_main_thread(monotonic_ns().saturating_add(nanos));
    }
}

/// Asks the main thread, through any configuration that is in force.
pub(crate) fn ask() {
    IS_ASKED.store(false, Ordering::Relaxed);
    if handed_over().is_any()
        && let Some((_, scheduler)) = in_force().first()
    {
        scheduler.commit();
    }
}

fn in_force() -> MutexGuard<'static, Vec<(u64, ConfigScheduler)>> {
    IN_FORCE.lock().unwrap_or_else(PoisonError::into_inner)
}
