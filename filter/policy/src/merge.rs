//! `mergeType`: what a policy inherits from a less specific one.
//!
//! Merging works on documents, as in Envoy Gateway: objects merge deeply, the child's
//! scalars win, and the child inherits what it leaves out. `null` means "left out", so
//! nothing can be deleted.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::{Entry, Node, Value};
use crate::owner::Owner;
use crate::policy::MergeType;
use crate::spec::Spec;
use crate::spec::owner_of;

/// Lists that a strategic merge merges by their items' `type`.
const BY_TYPE: [&str; 3] = ["compression", "compressor", "httpUpgrade"];

/// The `spec` that `child` has after taking over what only `parent` says.
#[must_use]
pub fn merge(parent: &Node, child: &Node, how: MergeType) -> Node {
    merge_at(parent, child, how, true)
}

fn merge_at(parent: &Node, child: &Node, how: MergeType, is_spec: bool) -> Node {
    let (Value::Map(parents), Value::Map(children)) = (&parent.value, &child.value) else {
        return child.clone();
    };
    let mut above = BTreeMap::new();
    for entry in parents {
        above.entry(entry.key.as_str()).or_insert(&entry.node);
    }
    above.retain(|_, node| node.value != Value::Null);
    // One by one: to collect them would sort them first, at 3 KiB of code.
    let mut own = BTreeSet::new();
    own.extend(children.iter().map(|entry| entry.key.as_str()));
    let mut merged: Vec<Entry> = Vec::new();
    for entry in children {
        let mut entry = entry.clone();
        if let Some(below) = above.get(entry.key.as_str()) {
            entry.node = match entry.node.value {
                Value::Null => (*below).clone(),
                _ if is_spec && how == MergeType::Strategic && is_by_type(&entry.key) => {
                    merge_by_type(below, &entry.node)
                }
                _ => merge_at(below, &entry.node, how, false),
            };
        }
        merged.push(entry);
    }
    let inherited = parents.iter().filter(|entry| {
        let is_target = is_spec && owner_of(&entry.key) == Some(Owner::Attachment);
        !is_target && !own.contains(entry.key.as_str())
    });
    merged.extend(inherited.cloned());
    Node {
        mark: child.mark,
        value: Value::Map(merged),
    }
}

fn is_by_type(field: &str) -> bool {
    BY_TYPE.contains(&field)
}

/// The child's items, each merged with the parent's of the same type, and
/// then the parent's other items.
fn merge_by_type(parent: &Node, child: &Node) -> Node {
    let (Value::List(parents), Value::List(children)) = (&parent.value, &child.value) else {
        return child.clone();
    };
    let kind = |node: &Node| node.field("type").map(|kind| kind.value.clone());
    let mut merged: Vec<Node> = Vec::new();
    for item in children {
        let below = parents.iter().find(|other| kind(other) == kind(item));
        merged.push(match below {
            Some(below) => merge_at(below, item, MergeType::Strategic, false),
            None => item.clone(),
        });
    }
    let others = parents
        .iter()
        .filter(|item| !children.iter().any(|other| kind(other) == kind(item)));
    merged.extend(others.cloned());
    Node {
        mark: child.mark,
        value: Value::List(merged),
    }
}

/// The rules at `rateLimit.<kind>.rules` that a strategic merge adds to those of
/// the child: the parent's, of local ones without the default bucket. None if
/// the child has no such list, as it then inherits the parent's.
#[must_use]
pub fn added_rules<'a>(parent: &'a Node, child: &Node, kind: &str) -> Vec<&'a Node> {
    let (Some(above), Some(own)) = (rules_of(parent, kind), rules_of(child, kind)) else {
        return Vec::new();
    };
    let drops_default = kind == "local" && !own.is_empty();
    let is_added = |rule: &&Node| !drops_default || has_selectors(rule);
    above.iter().filter(is_added).collect()
}

fn rules_of<'a>(spec: &'a Node, kind: &str) -> Option<&'a [Node]> {
    let rules = ["rateLimit", kind, "rules"];
    let found = rules.iter().try_fold(spec, |node, name| node.field(name))?;
    match &found.value {
        Value::List(rules) => Some(rules),
        _ => None,
    }
}

fn has_selectors(rule: &Node) -> bool {
    let selectors = rule.field("clientSelectors").map(|it| &it.value);
    matches!(selectors, Some(Value::List(items)) if !items.is_empty())
}

/// Puts right what reading a merged document cannot know: which policy a
/// list came from, and that a strategic merge unites rate limit rules, the
/// child's first. The parent's default bucket counts only if the child has
/// no rules of its own.
pub fn restore_origins(merged: &mut Spec, parent: &Spec, child: &Spec, how: MergeType) {
    merged.response_override = if child.response_override.is_empty() {
        parent.response_override.clone()
    } else {
        child.response_override.clone()
    };
    let local = |spec: &Spec| spec.rate_limit.as_ref().and_then(|it| it.local.clone());
    let rules = match (local(parent), local(child)) {
        (parent, None) => parent.unwrap_or_default().rules,
        (None, Some(child)) => child.rules,
        (Some(parent), Some(mut child)) => {
            if child.rules.is_empty() {
                child.rules = parent.rules;
            } else if how == MergeType::Strategic {
                let conditional = |rule: &&crate::spec::LocalRule| !rule.selector.is_empty();
                let inherited = parent.rules.iter().filter(conditional);
                child.rules.extend(inherited.cloned());
            }
            child.rules
        }
    };
    if let Some(limits) = merged.rate_limit.as_mut().and_then(|it| it.local.as_mut()) {
        limits.rules = rules;
    }
}

#[cfg(test)]
mod tests;
