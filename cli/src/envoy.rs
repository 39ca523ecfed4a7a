//! Envoy's configuration, whatever is done with it: trees, places in them,
//! JSON to put there, and what is found in it.

pub(crate) mod address;
pub(crate) mod http_filter;
pub(crate) mod json;
pub(crate) mod listener;
pub(crate) mod plugin;
pub(crate) mod route_match;
pub(crate) mod tree;
