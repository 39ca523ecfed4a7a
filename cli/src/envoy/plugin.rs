//! The filter in somebody's configuration: how it is known, and what it is
//! given.

use btp_policy::node::{Node, Value};
use btp_policy::{PluginConfig, json};

use super::tree::{field, find, text};

/// The name of the instance, of the plugin and of its VM.
pub(crate) const NAME: &str = "backend_traffic_policy";
/// The name of the filter's file.
const FILE: &str = "backend_traffic_policy.wasm";
/// Whether an HTTP filter is an instance of ours, by its name, its root id or
/// its file.
pub(crate) fn is_instance(filter: &Node) -> bool {
    let config = field(filter, "typed_config").and_then(|it| field(it, "config"));
    text(filter, "name") == Some(NAME) || config.is_some_and(is_plugin)
}

/// Whether a plugin is ours, by its root id or its file.
pub(crate) fn is_plugin(config: &Node) -> bool {
    let local = find(config, &["vm_config", "code", "local"]);
    let file = local.and_then(|it| text(it, "filename"));
    text(config, "root_id") == Some(NAME)
        || file.unwrap_or_default().rsplit('/').next() == Some(FILE)
}

/// The configuration of an instance of the filter; `None` if it is none, or
/// does nothing.
pub(crate) fn configuration_of(filter: &Node) -> Option<PluginConfig> {
    let is_off = field(filter, "disabled").map(|it| &it.value) == Some(&Value::Bool(true));
    if is_off || !is_instance(filter) {
        return None;
    }
    let value = find(
        filter,
        &["typed_config", "config", "configuration", "value"],
    )?;
    let written = match &value.value {
        Value::String(text) => json::parse(text.as_bytes()).ok()?,
        _ => value.clone(),
    };
    // What the filter does not take does nothing: Envoy does not start.
    let config = PluginConfig::from_node(&written).ok()?;
    (!config.disabled).then_some(config)
}
