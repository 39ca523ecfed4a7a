//! Functions that belong to neither a stream nor a configuration: the log.

use super::callbacks;
use super::types::{Level, ModuleBuffer};

/// Writes a line into Envoy's log; from any thread.
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: the message outlives the call.
    unsafe { callbacks::log(level as u32, ModuleBuffer::of(message.as_bytes())) }
}
