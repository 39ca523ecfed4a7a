//! Envoy's one timer of a context, and its sleepers.
//!
//! Setting the timer begins a new period, so it is only set if it would come too late.

use std::cell::RefCell;

use btp_engine::Scheduler;

use crate::abi;

/// A sleeper of a context's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Sleeper {
    /// The exchange of this context.
    Exchange(u32),
    /// The worker under the configuration of this number.
    Worker(u32),
    /// The VM, which gives a sign of life.
    Vm,
    /// The context itself, as it or another is behind with its configuration.
    Root,
}

/// A context's timer.
#[derive(Default)]
pub(crate) struct Timer {
    scheduler: RefCell<Scheduler<Sleeper>>,
}

const NANOS_PER_MS: u64 = 1_000_000;

impl Timer {
    /// Wakes it at this time, or not at all. Hostcalls must be about this context,
    /// or about an exchange under it.
    pub(crate) fn set(&self, who: Sleeper, at: Option<u64>) {
        let mut scheduler = self.scheduler.borrow_mut();
        scheduler.set(who, at);
        if let Some(at) = scheduler.arm() {
            set_tick(at);
        }
    }

    /// It has come.
    pub(crate) fn begin(&self) {
        self.scheduler.borrow_mut().begin();
    }

    /// The next one that is due.
    pub(crate) fn next_due(&self, now: u64) -> Option<Sleeper> {
        self.scheduler.borrow_mut().next_due(now)
    }

    /// Nobody else is woken now.
    pub(crate) fn end(&self) {
        match self.scheduler.borrow_mut().end() {
            Some(at) => set_tick(at),
            None => set_period(0),
        }
    }
}

/// Has it come at this time.
fn set_tick(at: u64) {
    let wait = at.saturating_sub(abi::monotonic_ns());
    let millis = wait.div_ceil(NANOS_PER_MS);
    set_period(u32::try_from(millis).unwrap_or(u32::MAX).max(1));
}

/// 0 stops it.
fn set_period(millis: u32) {
    if let Err(refused) = abi::set_tick_period(millis) {
        log::error!("the timer cannot be set to {millis} ms: {refused:?}");
    }
}
