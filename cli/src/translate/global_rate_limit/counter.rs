//! What a service counts: one counter for each descriptor that its file names, in
//! an order that depends on names alone.

use std::collections::BTreeMap;

use btp_policy::native::GlobalLimit;

use super::descriptor::entries;
use super::key::RouteKey;
use super::rule::Rule;

/// All counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(BTreeMap<Vec<Part>, Counter>);

/// An entry as a service sees it: its key, and its value unless each value counts
/// on its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) key: String,
    pub(super) value: Option<String>,
}

/// One counter, or for each value one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) limit: GlobalLimit,
    pub(super) shadow_mode: bool,
}

impl Counters {
    /// Adds those of the rules of a route.
    pub(crate) fn add(&mut self, rules: &[Rule], route: &RouteKey) {
        for rule in rules {
            let parts = entries(rule, route).into_iter().map(|it| Part {
                key: it.key,
                value: it.value,
            });
            let counter = Counter {
                limit: rule.rule.limit.clone(),
                shadow_mode: rule.rule.shadow_mode,
            };
            self.0.insert(parts.collect(), counter);
        }
    }

    /// The descriptors, in order, with their counters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[Part], &Counter)> {
        self.0.iter().map(|(parts, it)| (parts.as_slice(), it))
    }
}
