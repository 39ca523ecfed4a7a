//! Errors in an instance of the filter in its place, and a search for instances anywhere in
//! a configuration.

use btp_policy::Code;
use btp_policy::node::{Node, Value};

use super::address::Address;
use super::files::{Config, problem_at};
use crate::diagnostics::{Finding, Location};

/// What is wrong with an instance.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) address: Address,
    /// Whether Envoy refuses it, or policies are off.
    pub(crate) is_grave: bool,
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl Flaw {
    /// As a finding in the file at this place.
    pub(crate) fn finding(self, config: &Config, location: Location) -> Finding {
        let problem = problem_at(config, &self.address, self.code, self.reason);
        if self.is_grave {
            Finding::error(problem, location)
        } else {
            Finding::warning(problem, location)
        }
    }
}

/// Shows all objects of a configuration, and leaves out what is in those that `show`
/// takes.
pub(super) fn for_each_object(config: &Config, show: &mut dyn FnMut(&Node, &Address) -> bool) {
    for (file, it) in config.files.iter().enumerate() {
        below(&it.node, Address::root(file), show);
    }
}

fn below(node: &Node, address: Address, show: &mut dyn FnMut(&Node, &Address) -> bool) {
    match &node.value {
        Value::Map(_) if show(node, &address) => {}
        Value::Map(entries) => {
            // What stood somewhere before is in force no more.
            let entries = entries.iter().filter(|it| it.key != "filter_metadata");
            for it in entries {
                below(&it.node, address.key(&it.key), show);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                below(item, address.item(index), show);
            }
        }
        _ => {}
    }
}
