//! `admissionControl`: requests that are turned away before the upstreams are overloaded.

#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
