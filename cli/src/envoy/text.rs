//! A configuration's text: how Envoy reads it, the place of each value, changes that keep
//! its layout, and new texts for a tree.

pub(crate) mod json_out;
pub(crate) mod layout;
pub(crate) mod patch;
pub(crate) mod place;
pub(crate) mod yaml_out;
