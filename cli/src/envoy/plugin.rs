//! The filter in somebody's configuration: how it is known, and what it is
//! given.

use btp_policy::node::{Node, Value};
use btp_policy::{PluginConfig, json};

use super::tree::{field, find, text};

/// The name of the instance, of the plugin and of its VM.
pub(crate) const NAME: &str = "backend_traffic_policy";

/// The name of the second instance.
pub(crate) const AFTER_AUTH: &str = "backend_traffic_policy_late";

/// The name of the instance behind the router, which sees every try.
pub(crate) const UPSTREAM: &str = "backend_traffic_policy_upstream";

/// The name of the filter's file.
const FILE: &str = "backend_traffic_policy.wasm";

/// How the names of other filters begin that `btp apply` puts in.
const MADE: &str = "btp.";

/// Whether an HTTP filter is an instance of ours, by its name, its root id or
/// its file.
pub(crate) fn is_instance(filter: &Node) -> bool {
    let config = field(filter, "typed_config").and_then(|it| field(it, "config"));
    let name = text(filter, "name");
    name.is_some_and(|it| [NAME, AFTER_AUTH, UPSTREAM].contains(&it))
        || config.is_some_and(is_plugin)
}

/// Whether an HTTP filter is one that `btp apply` puts in.
pub(crate) fn is_made(filter: &Node) -> bool {
    is_instance(filter) || text(filter, "name").is_some_and(|it| it.starts_with(MADE))
}

/// Whether a plugin is ours, by its root id or its file.
pub(crate) fn is_plugin(config: &Node) -> bool {
    let local = find(config, &["vm_config", "code", "local"]);
    let file = local.and_then(|it| text(it, "filename"));
    // With several listeners each has its own: `backend_traffic_policy/edge`.
    let root = text(config, "root_id").and_then(|it| it.strip_prefix(NAME));
    root.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
