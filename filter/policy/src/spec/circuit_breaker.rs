//! `circuitBreaker`: how much a cluster may have under way.

#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
