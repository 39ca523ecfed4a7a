//! A configuration's text: what Envoy reads in it, where each value stands,
//! how it is changed where the tree was, and how a tree is written anew.

pub(crate) mod json_out;
pub(crate) mod layout;
pub(crate) mod patch;
pub(crate) mod place;
pub(crate) mod yaml_out;
