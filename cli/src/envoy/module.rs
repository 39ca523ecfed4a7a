//! Errors in an instance that is a dynamic module: Envoy would not start with it, or would
//! unload it while it is in use.

use btp_policy::Code;
use btp_policy::node::{Node, Value};

use super::address::Address;
use super::files::Config;
use super::flaw::{Flaw, for_each_object};
use super::plugin::{NAME, is_instance};
use super::tree::{field, text, type_of};

/// All of a configuration.
pub(crate) fn flaws(config: &Config) -> Vec<Flaw> {
    let mut found = Vec::new();
    for_each_object(config, &mut |node, address| {
        let module = module_of(node);
        if let Some(filter) = module {
            check(filter, &address.key("typed_config"), &mut found);
        }
        module.is_some()
    });
    found
}

/// What an instance of ours is given, if it is a module.
fn module_of(filter: &Node) -> Option<&Node> {
    let typed = field(filter, "typed_config")?;
    let is_module = field(typed, "dynamic_module_config").is_some();
    (is_module && is_instance(filter)).then_some(typed)
}

fn check(filter: &Node, address: &Address, found: &mut Vec<Flaw>) {
    let mut add = |address: Address, code, reason: String| {
        found.push(Flaw {
            address,
            is_grave: code != Code::ModuleMayClose,
            code,
            reason,
        });
    };
    let name = text(filter, "filter_name").unwrap_or_default();
    if name != NAME {
        let reason = format!("is {name:?}, but the module's only filter is {NAME}: write that");
        add(address.key("filter_name"), Code::WrongModuleFilter, reason);
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
        add(
            address.key("filter_config"),
            Code::WrongModuleConfig,
            reason,
        );
    }
    let module = address.key("dynamic_module_config");
    let stays = field(filter, "dynamic_module_config").and_then(|it| field(it, "do_not_close"));
    if stays.map(|it| &it.value) != Some(&Value::Bool(true)) {
        let reason = "is not true, so Envoy may unload the module with its last configuration: a \
            version that does not prevent this would restart all counts, and crash Envoy if a \
            request is delayed then; write do_not_close: true"
            .to_owned();
        add(module.key("do_not_close"), Code::ModuleMayClose, reason);
    }
}
