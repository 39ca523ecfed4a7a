//! Envoy's configuration, whatever is done with it: trees, places in them,
//! and JSON to put there.

pub(crate) mod address;
pub(crate) mod json;
pub(crate) mod tree;
