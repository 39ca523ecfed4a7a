//! `sessionPersistence`: a client stays with the endpoint that it had first, as GEP-1619
//! has it. An extension: in the Gateway API it is of routes, and of another policy.

mod checks;
pub(crate) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
