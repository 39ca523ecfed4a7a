//! `http2`: settings of HTTP/2 to the upstreams.

mod checks;
pub(super) mod schema;
#[cfg(feature = "schema")]
mod types;

#[cfg(feature = "schema")]
pub use types::*;
