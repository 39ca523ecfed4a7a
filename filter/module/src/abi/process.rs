//! What is neither a stream's nor a configuration's: the log, and how Envoy runs.

use super::callbacks;
use super::types::{Level, ModuleBuffer};

/// Writes a line into Envoy's log; from any thread.
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: the message outlives the call.
    unsafe { callbacks::log(level as u32, ModuleBuffer::of(message.as_bytes())) }
}

/// Whether lines of this level are written at all.
pub(crate) fn log_enabled(level: Level) -> bool {
    // SAFETY: no memory is passed.
    unsafe { callbacks::log_enabled(level as u32) }
}

/// Whether Envoy only checks its configuration (`--mode validate`). On the main
/// thread only, which is where configurations are loaded.
pub(crate) fn is_validation() -> bool {
    // SAFETY: no memory is passed.
    unsafe { callbacks::is_validation_mode() }
}
