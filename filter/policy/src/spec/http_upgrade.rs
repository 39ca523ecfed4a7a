//! `httpUpgrade`: protocols that a request may change to.

mod checks;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
