//! `dns`: how names of upstreams are resolved.

mod checks;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
