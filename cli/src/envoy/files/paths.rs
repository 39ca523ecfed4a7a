//! Which files a configuration names.

use std::collections::BTreeSet;

use btp_policy::node::{Node, Value};

use crate::envoy::listener::connection_managers;
use crate::envoy::tree::{field, find};

/// The path of a `ConfigSource` that is a file.
pub(crate) fn path_of(source: &Node) -> Option<String> {
    let path = find(source, &["path_config_source", "path"]).or_else(|| field(source, "path"))?;
    path.as_str().map(str::to_owned)
}

/// Adds the paths of the files that a listener's routes are in.
pub(super) fn rds_paths(listener: &Node, paths: &mut BTreeSet<String>) {
    for (_, _, hcm) in connection_managers(listener) {
        if let Some(path) = find(hcm, &["rds", "config_source"]).and_then(path_of) {
            paths.insert(path);
        }
    }
}

/// Adds the paths of the files that filters are discovered in.
pub(crate) fn discovery_paths(node: &Node, paths: &mut BTreeSet<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|it| discovery_paths(it, paths)),
        Value::Map(entries) => {
            let source = find(node, &["config_discovery", "config_source"]);
            paths.extend(source.and_then(path_of));
            entries
                .iter()
                .for_each(|it| discovery_paths(&it.node, paths));
        }
        _ => {}
    }
}
