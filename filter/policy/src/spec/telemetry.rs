//! `telemetry`: what is measured and traced.

mod checks;
mod operators;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
