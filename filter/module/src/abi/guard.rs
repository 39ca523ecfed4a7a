//! No panic leaves the module: it would end Envoy.
//!
//! The module is built with unwinding, which `cargo xtask build` checks in the file.
//! Everything that Envoy calls, and each thread of the module, runs in here.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::process::log;
use super::types::Level;

/// Panics that Envoy's counter does not show yet.
static UNCOUNTED: AtomicU64 = AtomicU64::new(0);
static ON_PANIC: OnceLock<fn()> = OnceLock::new();

/// Runs it, and returns `None` if it panics, which is logged and counted. `what` is for
/// the log.
///
/// What was borrowed may be half changed: the caller drops it, or locks it such that
/// it does not matter.
pub(crate) fn guarded<R>(what: &str, act: impl FnOnce() -> R) -> Option<R> {
    // The types cannot tell what is safe here: the caller sees to it.
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    if result.is_err() {
        UNCOUNTED.fetch_add(1, Ordering::SeqCst);
        log(Level::Error, &format!("caught a panic in {what}"));
        if let Some(call) = ON_PANIC.get() {
            call();
        }
    }
    result.ok()
}

/// Sets the function to call after each panic. It has a configuration's hook called, which
/// counts the panic. The first call wins.
pub(crate) fn on_panic(call: fn()) {
    ON_PANIC.get_or_init(|| call);
}

/// How many are still to be counted; then they are not any more.
pub(super) fn take_uncounted() -> u64 {
    UNCOUNTED.swap(0, Ordering::SeqCst)
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
