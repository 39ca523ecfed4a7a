//! What is wrong with the filter where it stands as a dynamic module: Envoy would not
//! start with it, or would take it out of memory while it is at work.

use btp_policy::node::{Node, Value};

use super::address::Address;
use super::files::{Config, problem_at};
use super::plugin::{NAME, is_instance};
use super::tree::{field, text, type_of};
use crate::diagnostics::{Finding, Location};

/// What is wrong with an instance.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) address: Address,
    /// Whether Envoy refuses it.
    pub(crate) is_grave: bool,
    reason: String,
}

impl Flaw {
    /// As a finding in the file at this place.
    pub(crate) fn finding(self, config: &Config, location: Location) -> Finding {
        let problem = problem_at(config, &self.address, self.reason);
        if self.is_grave {
            Finding::error(problem, location)
        } else {
            Finding::warning(problem, location)
        }
    }
}

/// All of a configuration.
pub(crate) fn flaws(config: &Config) -> Vec<Flaw> {
    let mut found = Vec::new();
    for (file, it) in config.files.iter().enumerate() {
        below(&it.node, Address::root(file), &mut found);
    }
    found
}

fn below(node: &Node, address: Address, found: &mut Vec<Flaw>) {
    match &node.value {
        Value::Map(entries) => {
            if let Some(filter) = module_of(node) {
                return check(filter, &address.key("typed_config"), found);
            }
            // What stood somewhere before is in force no more.
            let entries = entries.iter().filter(|it| it.key != "filter_metadata");
            for it in entries {
                below(&it.node, address.key(&it.key), found);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                below(item, address.item(index), found);
            }
        }
        _ => {}
    }
}

/// What an instance of ours is given, if it is a module.
fn module_of(filter: &Node) -> Option<&Node> {
    let typed = field(filter, "typed_config")?;
    let is_module = field(typed, "dynamic_module_config").is_some();
    (is_module && is_instance(filter)).then_some(typed)
}

fn check(filter: &Node, address: &Address, found: &mut Vec<Flaw>) {
    let mut add = |address: Address, is_grave, reason: String| {
        found.push(Flaw {
            address,
            is_grave,
            reason,
        });
    };
    let name = text(filter, "filter_name").unwrap_or_default();
    if name != NAME {
        let reason = format!("is {name:?}, and the module has one filter: write {NAME}");
        add(address.key("filter_name"), true, reason);
    }
    let config = field(filter, "filter_config");
    let kind = config.and_then(type_of);
    if !matches!(kind, Some("StringValue" | "Struct")) {
        let is = kind.map_or_else(
            || "is not there".to_owned(),
            |kind| format!("is a {kind}, which the module cannot read"),
        );
        let reason = format!(
            "{is}: write the plugin configuration (btp plugin-config) as \"@type\": \
             type.googleapis.com/google.protobuf.StringValue with the JSON as value, or as \
             google.protobuf.Struct"
        );
        add(address.key("filter_config"), true, reason);
    }
    let module = address.key("dynamic_module_config");
    let stays = field(filter, "dynamic_module_config").and_then(|it| field(it, "do_not_close"));
    if stays.map(|it| &it.value) != Some(&Value::Bool(true)) {
        let reason = "is not true, so that it is left to the module alone to stay loaded when \
                      its last configuration goes: a version that does not would begin all \
                      counts anew, and have Envoy crash if a request is delayed then: write \
                      do_not_close: true"
            .to_owned();
        add(module.key("do_not_close"), false, reason);
    }
}
