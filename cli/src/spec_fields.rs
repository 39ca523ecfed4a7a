//! The fields of a `spec`, as reports list them, and the side that enforces each.

use btp_policy::node::{Node, Value};
use btp_policy::spec::{Capability, Owner, owner_at, owner_of};

/// A field with a value of its own; a list is one.
#[derive(Debug)]
pub(crate) struct SpecField<'a> {
    /// The names that lead to it from `spec`.
    pub(crate) path: Vec<&'a str>,
    pub(crate) value: &'a Node,
}

/// All fields of a spec but those that say where it applies.
pub(crate) fn spec_fields(spec: &Node) -> Vec<SpecField<'_>> {
    let mut found = Vec::new();
    below(spec, &mut Vec::new(), &mut found);
    found
}

impl SpecField<'_> {
    /// Its name, such as `timeout.http.requestTimeout`.
    pub(crate) fn name(&self) -> String {
        self.path.join(".")
    }

    /// The capability of the filter that enforces it; `None`: Envoy itself does.
    pub(crate) fn capability(&self) -> Option<Capability> {
        // What holds for all methods is Envoy's.
        let has_methods = |it: &Node| it.field("methods").is_some();
        let is_envoys = self.path == ["retry", "retryOn", "conditions"]
            && matches!(&self.value.value, Value::List(it) if !it.iter().any(has_methods));
        capability_of(&self.path).filter(|_| !is_envoys)
    }
}

/// The capability of the filter that enforces a field; `None`: Envoy itself does.
pub(crate) fn capability_of(path: &[&str]) -> Option<Capability> {
    match owner_at(path)? {
        // Envoy retries; an empty `retry` has nothing for the filter.
        _ if path == ["retry"] => None,
        Owner::Filter(capability) => Some(capability),
        Owner::Attachment | Owner::Envoy => None,
    }
}

fn below<'a>(node: &'a Node, path: &mut Vec<&'a str>, found: &mut Vec<SpecField<'a>>) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for entry in entries {
                let is_target = path.is_empty() && owner_of(&entry.key) == Some(Owner::Attachment);
                if is_target || entry.node.value == Value::Null {
                    continue;
                }
                path.push(&entry.key);
                below(&entry.node, path, found);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => found.push(SpecField {
            path: path.clone(),
            value: node,
        }),
    }
}
