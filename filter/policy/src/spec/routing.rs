//! `routingType` and `useClientProtocol`.

pub(super) mod checks;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
