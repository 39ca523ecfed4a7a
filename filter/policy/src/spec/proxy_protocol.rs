//! `proxyProtocol`: what upstreams are told of the client's address.

pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
