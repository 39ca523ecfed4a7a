//! No panic leaves the module: Envoy would end with it.
//!
//! The build of the module unwinds, which `cargo xtask build` checks in the file.
//! Whatever Envoy calls, and each thread of the module, runs in here.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};

use super::process::log;
use super::types::Level;

/// Panics that no stream was at hand to count with.
static UNCOUNTED: AtomicU64 = AtomicU64::new(0);

/// Runs it, and returns `None` if it panics, which is logged, and counted with the
/// next stream that is there. `what` is for the log.
///
/// What was borrowed may be half changed: the caller drops it, or locks it such that
/// it does not matter.
pub(crate) fn guarded<R>(what: &str, act: impl FnOnce() -> R) -> Option<R> {
    let result = caught(what, act);
    if result.is_none() {
        leave_uncounted(1);
    }
    result
}

/// The next stream that can counts them.
pub(super) fn leave_uncounted(panics: u64) {
    UNCOUNTED.fetch_add(panics, Ordering::Relaxed);
}

/// The same; the caller counts.
pub(super) fn caught<R>(what: &str, act: impl FnOnce() -> R) -> Option<R> {
    // The types cannot tell what is safe here: the caller sees to it.
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    if result.is_err() {
        log(Level::Error, &format!("caught a panic in {what}"));
    }
    result.ok()
}

/// How many are still to be counted; then they are not any more.
pub(super) fn take_uncounted() -> u64 {
    // Read first, as nearly always there is none: a write costs all workers.
    match UNCOUNTED.load(Ordering::Relaxed) {
        0 => 0,
        _ => UNCOUNTED.swap(0, Ordering::Relaxed),
    }
}

/// Has panics say where they happened in Envoy's log, in place of stderr.
pub(super) fn report_panics() {
    panic::set_hook(Box::new(|about: &PanicHookInfo<'_>| {
        let payload = about.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("without a message");
        let place = about.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        log(Level::Error, &format!("panicked at {place}: {message}"));
    }));
}
