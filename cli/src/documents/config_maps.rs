//! Which ConfigMaps are read: those that policies use for bodies. Others may belong to
//! other programs in the same folder.

use std::collections::BTreeSet;

use btp_policy::node::{Node, Value};

use super::Object;
use super::twice::key;

/// Drops those that no policy names.
pub(super) fn keep_used(config_maps: &mut Vec<Object>, policies: &[Object]) {
    let mut used = BTreeSet::new();
    for policy in policies {
        let Some((namespace, _)) = key(&policy.node) else {
            continue;
        };
        let names = named_in(&policy.node).into_iter();
        used.extend(names.map(|name| (namespace.clone(), name.to_owned())));
    }
    config_maps.retain(|it| key(&it.node).is_some_and(|key| used.contains(&key)));
}

/// The names of ConfigMaps in the overrides of a policy.
fn named_in(policy: &Node) -> Vec<&str> {
    let rules = items(policy.field("spec"), "responseOverride");
    let responses = rules.iter().filter_map(|it| it.field("response"));
    let bodies = responses.flat_map(|it| std::iter::once(it).chain(items(Some(it), "variants")));
    let names = bodies.filter_map(|it| it.field("body")?.field("valueRef")?.field("name"));
    names.filter_map(Node::as_str).collect()
}

fn items<'a>(node: Option<&'a Node>, name: &str) -> &'a [Node] {
    match node.and_then(|it| it.field(name)).map(|it| &it.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}
