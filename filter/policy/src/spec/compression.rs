//! `compressor`, and `compression` as it was called before.

#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
