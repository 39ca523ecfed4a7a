//! Metadata for the module, which reads no nested values: routes get the flat form
//! of what they have nested, and Envoy's `set_filter_state` filter shows dynamic
//! metadata as JSON. `btp apply --module` writes the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bootstrap::visit;

const SET_FILTER_STATE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config";
const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// Adds the flat form to all routes, and the filter to all chains in which a policy reads
/// dynamic metadata.
pub(super) fn make_readable(config: &mut Value) {
    let mut keys = BTreeSet::new();
    visit(config, &mut |value| {
        if let Some(metadata) = value.get_mut("filter_metadata") {
            flatten(metadata);
        }
        if let Some(text) = value.get("value").and_then(Value::as_str) {
            keys.extend(serde_json::from_str(text).ok().iter().flat_map(asked_for));
        }
    });
    if keys.is_empty() {
        return;
    }
    visit(config, &mut |value| {
        if value["@type"] == MANAGER
            && let Some(filters) = value["http_filters"].as_array_mut()
        {
            show(filters, &keys);
        }
    });
}

fn flatten(metadata: &mut Value) {
    let resources = metadata["envoy-gateway"]["resources"].as_array().cloned();
    if let Some(resources) = resources {
        let texts: Vec<String> = resources.iter().map(text_of).collect();
        metadata["btp"]["resources"] = json!(texts);
    }
    let labels = metadata["btp"]["labels"].clone();
    if labels.is_object() {
        metadata["btp.labels"] = labels;
    }
}

fn text_of(resource: &Value) -> String {
    let parts = ["kind", "namespace", "name", "sectionName"];
    let parts: Vec<&str> = parts
        .iter()
        .filter_map(|it| resource[it].as_str())
        .collect();
    parts.join("/")
}

/// The namespaces and keys of the conditions in a plugin configuration.
fn asked_for(plugin: &Value) -> Vec<(String, String)> {
    let mut plugin = plugin.clone();
    let mut found = Vec::new();
    visit(&mut plugin, &mut |value| {
        let (namespace, key) = (value["namespace"].as_str(), value["path"][0].as_str());
        if let (Some(namespace), Some(key)) = (namespace, key) {
            found.push((namespace.to_owned(), key.to_owned()));
        }
    });
    found
}

/// Puts the filter in front of each of ours, as each sees what is written in front of it,
/// or at the end where ours is behind the router.
fn show(filters: &mut Vec<Value>, keys: &BTreeSet<(String, String)>) {
    let entries = keys.iter().map(|(namespace, key)| {
        json!({
            "object_key": format!("btp.metadata.{namespace}:{key}"),
            "factory_key": "envoy.string",
            "format_string": {"json_format": {
                "value": format!("%DYNAMIC_METADATA({namespace}:{key})%")}},
        })
    });
    let filter = json!({"name": "show_metadata", "typed_config": {
        "@type": SET_FILTER_STATE,
        "on_request_headers": entries.collect::<Vec<_>>()}});
    let is_ours = |it: &Value| it["typed_config"]["@type"] == super::MODULE_TYPE;
    let mut places: Vec<usize> = (0..filters.len())
        .filter(|place| is_ours(&filters[*place]))
        .collect();
    if places.is_empty() {
        places.push(filters.len().saturating_sub(1));
    }
    for place in places.into_iter().rev() {
        filters.insert(place, filter.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_get_the_flat_form() {
        let resource =
            json!({"kind": "HTTPRoute", "namespace": "a", "name": "b", "sectionName": "c"});
        let mut config = json!({"metadata": {"filter_metadata": {
            "envoy-gateway": {"resources": [resource]},
            "btp": {"labels": {"tier": "gold"}}}}});
        make_readable(&mut config);
        let metadata = &config["metadata"]["filter_metadata"];
        assert_eq!(metadata["btp"]["resources"], json!(["HTTPRoute/a/b/c"]));
        assert_eq!(metadata["btp.labels"], json!({"tier": "gold"}));
    }

    #[test]
    fn other_metadata_is_kept() {
        let mut config = json!({"filter_metadata": {"envoy.lb": {"canary": true}}});
        let before = config.clone();
        make_readable(&mut config);
        assert_eq!(config, before);
    }

    #[test]
    fn what_policies_ask_for_is_shown_in_front_of_our_filter() {
        let plugin = json!({"policies": [{"namespace": "auth", "path": ["claims", "sub"]}]});
        let ours = json!({"typed_config": {"@type": super::super::MODULE_TYPE,
            "filter_config": {"value": plugin.to_string()}}});
        let mut config = json!({"@type": MANAGER, "http_filters": [{}, ours, {}, ours]});
        make_readable(&mut config);
        let names = config["http_filters"].as_array().unwrap().iter();
        let names: Vec<&str> = names.filter_map(|it| it["name"].as_str()).collect();
        assert_eq!(names, ["show_metadata"; 2]);
        let entry = &config["http_filters"][1]["typed_config"]["on_request_headers"][0];
        assert_eq!(entry["object_key"], "btp.metadata.auth:claims");
        let format = &entry["format_string"]["json_format"]["value"];
        assert_eq!(format, "%DYNAMIC_METADATA(auth:claims)%");
    }
}
