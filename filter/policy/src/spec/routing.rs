//! `routingType` and `useClientProtocol`.

#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
