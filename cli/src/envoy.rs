//! Envoy's configuration, independent of policies: its files and their text, trees, places
//! in them, JSON values, queries, and records that undo changes.

pub(crate) mod address;
pub(crate) mod capabilities;
pub(crate) mod files;
pub(crate) mod flaw;
pub(crate) mod http_filter;
pub(crate) mod json;
pub(crate) mod l4;
pub(crate) mod listener;
pub(crate) mod model;
pub(crate) mod module;
pub(crate) mod plugin;
pub(crate) mod pointer;
pub(crate) mod route_match;
pub(crate) mod route_metadata;
pub(crate) mod runtime;
pub(crate) mod static_clusters;
pub(crate) mod stats;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod undo;
