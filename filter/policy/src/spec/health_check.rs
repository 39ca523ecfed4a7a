//! `healthCheck`: which endpoints get requests.

mod checks;
#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
