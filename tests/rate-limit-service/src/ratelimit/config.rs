//! The limits of a domain: a tree whose steps are a descriptor's entries.

use std::collections::HashMap;

use super::wildcard::Wildcard;
use super::window::Window;

/// A file, read.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) domain: String,
    pub(super) root: Node,
}

/// A place in the tree.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// For a descriptor that ends here.
    pub(super) limit: Option<Limit>,
    /// By [`composite`] keys.
    pub(super) children: HashMap<String, Node>,
    /// Those of these keys with an asterisk, in the order of the file.
    pub(super) wildcards: Vec<Wildcard>,
}

/// How much in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) requests_per_unit: u32,
    pub(super) window: Window,
    /// Whoever is over it passes all the same.
    pub(super) shadow_mode: bool,
}

/// Key and value as one name, as `loadDescriptors` joins them: `a` with `b_c` is the same
/// as `a_b` with `c`.
pub(super) fn composite(key: &str, value: &str) -> String {
    format!("{key}_{value}")
}
