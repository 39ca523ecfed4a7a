//! `tcpKeepalive`: how a peer that is gone is noticed.

mod checks;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
