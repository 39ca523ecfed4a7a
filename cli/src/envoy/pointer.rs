//! Places in a tree as JSON pointers (RFC 6901): what records are written in,
//! as a key may hold anything.

use btp_policy::node::{Node, Value};

use super::tree::field_mut;

/// A key as a step of a pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The key that a step stands for.
pub(crate) fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// The node at a pointer.
pub(crate) fn node_at<'a>(root: &'a Node, path: &str) -> Option<&'a Node> {
    let mut steps = path.split('/').skip(1);
    steps.try_fold(root, |node, step| match &node.value {
        Value::Map(entries) => {
            let entry = entries.iter().find(|it| escape(&it.key) == step)?;
            Some(&entry.node)
        }
        Value::List(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The node at a pointer, to be changed.
pub(crate) fn node_at_mut<'a>(root: &'a mut Node, path: &str) -> Option<&'a mut Node> {
    let mut steps = path.split('/').skip(1);
    steps.try_fold(root, |node, step| child_of(node, &unescape(step)))
}

/// The object or list that holds what `path` names, and its name there.
pub(crate) fn parent_of<'a>(root: &'a mut Node, path: &str) -> Option<(&'a mut Node, String)> {
    let (above, last) = path.rsplit_once('/')?;
    Some((node_at_mut(root, above)?, unescape(last)))
}

/// The item or the field, by either of its names, that a step leads to.
pub(crate) fn child_of<'a>(node: &'a mut Node, step: &str) -> Option<&'a mut Node> {
    if matches!(node.value, Value::Map(_)) {
        return field_mut(node, step);
    }
    match &mut node.value {
        Value::List(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}
