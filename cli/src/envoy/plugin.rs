//! The filter in a configuration: how to recognize either build, and its plugin
//! configuration.

use std::borrow::Cow;

use btp_policy::node::{Node, Value};
use btp_policy::{HeldHeaders, PluginConfig, json};

use super::http_filter::package_of;
use super::tree::{field, find, items, text};

/// The name of the instance, of the plugin, of its VM, and of the module's filter.
pub(crate) const NAME: &str = "backend_traffic_policy";

/// The name of the second instance.
pub(crate) const AFTER_AUTH: &str = "backend_traffic_policy_late";

/// The name of the instance behind the router, which sees every try.
pub(crate) const UPSTREAM: &str = "backend_traffic_policy_upstream";

/// The name of the filter's file.
const FILE: &str = "backend_traffic_policy.wasm";

/// The same of the module, which Envoy also knows as `backend_traffic_policy`.
const MODULE_FILE: &str = "libbackend_traffic_policy.so";

/// How the names of other filters begin that `btp apply` puts in.
const MADE: &str = "btp.";

/// A build of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// It runs in Envoy's sandbox.
    Wasm,
    /// It runs in Envoy's process, as a dynamic module.
    Module,
}

/// Whether an HTTP filter is an instance of ours, by its name, its root id, its
/// file, or what it names in its module.
pub(crate) fn is_instance(filter: &Node) -> bool {
    let typed = field(filter, "typed_config");
    let plugin = typed.and_then(|it| field(it, "config"));
    let name = text(filter, "name");
    name.is_some_and(|it| [NAME, AFTER_AUTH, UPSTREAM].contains(&it))
        || plugin.is_some_and(is_plugin)
        || typed.is_some_and(is_module)
}

/// Which build an HTTP filter is, if it is an instance of ours.
pub(crate) fn build_of(filter: &Node) -> Option<Build> {
    let is_module = package_of(filter) == Some("dynamic_modules");
    let build = if is_module {
        Build::Module
    } else {
        Build::Wasm
    };
    is_instance(filter).then_some(build)
}

/// Which build a connection manager contains, in front of its router or behind.
pub(crate) fn build_in(hcm: &Node) -> Option<Build> {
    let filters = items(hcm, "http_filters");
    let router = filters.last().and_then(|it| field(it, "typed_config"));
    let behind = router.map_or(&[][..], |it| items(it, "upstream_http_filters"));
    filters.iter().chain(behind).find_map(build_of)
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
        || file.is_some_and(|it| is_file(it, FILE))
}

/// Whether a filter of a dynamic module is ours, by its own name there, or the name
/// or the file of the module.
fn is_module(config: &Node) -> bool {
    let Some(module) = field(config, "dynamic_module_config") else {
        return false;
    };
    let local = find(module, &["module", "local"]);
    let file = local.and_then(|it| text(it, "filename"));
    text(config, "filter_name") == Some(NAME)
        || text(module, "name") == Some(NAME)
        || file.is_some_and(|it| is_file(it, MODULE_FILE))
}

fn is_file(path: &str, name: &str) -> bool {
    path.rsplit('/').next() == Some(name)
}

/// The configuration of an instance of the filter; `None` if it is none, or
/// does nothing.
pub(crate) fn configuration_of(filter: &Node) -> Option<PluginConfig> {
    let is_off = field(filter, "disabled").map(|it| &it.value) == Some(&Value::Bool(true));
    let build = build_of(filter).filter(|_| !is_off)?;
    let typed = field(filter, "typed_config")?;
    let value = match build {
        Build::Wasm => find(typed, &["config", "configuration", "value"])?,
        Build::Module => find(typed, &["filter_config", "value"])?,
    };
    let written = match &value.value {
        Value::String(text) => Cow::Owned(json::parse(text.as_bytes()).ok()?),
        _ => Cow::Borrowed(value),
    };
    let held = match build {
        Build::Wasm => HeldHeaders::AsConfigured,
        Build::Module => HeldHeaders::Always,
    };
    // What the filter does not take does nothing: Envoy does not start.
    let config = PluginConfig::from_node_with(&written, held).ok()?;
    (!config.disabled).then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Node {
        json::parse(text.as_bytes()).unwrap()
    }

    fn module(config: &str) -> Node {
        filter(&format!(
            r#"{{"name":"x","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",{config}}}}}"#
        ))
    }

    #[test]
    fn an_instance_of_either_build_is_known_by_what_it_runs() {
        for ours in [
            r#""dynamic_module_config":{},"filter_name":"backend_traffic_policy""#,
            r#""dynamicModuleConfig":{"name":"backend_traffic_policy"}"#,
            r#""dynamic_module_config":{"module":{"local":{"filename":"/a/libbackend_traffic_policy.so"}}}"#,
        ] {
            assert_eq!(build_of(&module(ours)), Some(Build::Module), "{ours}");
        }
        let other = r#""dynamic_module_config":{"name":"other"},"filter_name":"f""#;
        assert_eq!(build_of(&module(other)), None);
        let wasm = filter(r#"{"typed_config":{"config":{"root_id":"backend_traffic_policy"}}}"#);
        assert_eq!(build_of(&wasm), Some(Build::Wasm));
        let discovered = filter(
            r#"{"name":"backend_traffic_policy","config_discovery":{"type_urls":
            ["type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"]}}"#,
        );
        assert_eq!(build_of(&discovered), Some(Build::Module));
    }

    #[test]
    fn the_configuration_of_a_module_is_text_or_an_object() {
        let policy = r#"{"policies":[{"metadata":{"name":"p"},"spec":{"requestBuffer":{"limit":"1Ki","mode":"Buffer"}}}]}"#;
        let text = serde_json::to_string(policy).unwrap();
        for value in [policy, &text] {
            let config = format!(
                r#""dynamic_module_config":{{}},"filter_name":"backend_traffic_policy","filter_config":{{"value":{value}}}"#
            );
            let read = configuration_of(&module(&config)).unwrap();
            assert_eq!(read.policies.len(), 1);
        }
    }
}
