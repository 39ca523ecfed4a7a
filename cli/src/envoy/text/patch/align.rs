//! Which children of a new tree are which of the old one.

use btp_policy::node::{Node, Value};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::envoy::tree::field;

/// A child of the new tree.
pub(super) struct Pair<'a> {
    /// Its index in the old tree, if it was there.
    pub(super) old: Option<usize>,
    new: usize,
    /// Its key, if it is an entry.
    key: Option<&'a str>,
    pub(super) node: &'a Node,
}

impl Pair<'_> {
    pub(super) fn is_entry(&self) -> bool {
        self.key.is_some()
    }

    /// Its key, or its index in the old tree.
    pub(super) fn old_key(&self) -> String {
        match (self.key, self.old) {
            (Some(key), _) => key.to_owned(),
            (None, old) => old.unwrap_or_default().to_string(),
        }
    }

    /// Its key, or its index in the new tree.
    pub(super) fn new_key(&self) -> String {
        match self.key {
            Some(key) => key.to_owned(),
            None => self.new.to_string(),
        }
    }
}

/// The children of the new tree in their order.
pub(super) fn align<'a>(old: &Node, new: &'a Node) -> Vec<Pair<'a>> {
    match (&old.value, &new.value) {
        (Value::Map(olds), Value::Map(news)) => {
            let pair = |(index, entry): (usize, &'a btp_policy::node::Entry)| Pair {
                old: olds.iter().position(|it| it.key == entry.key),
                new: index,
                key: Some(&entry.key),
                node: &entry.node,
            };
            news.iter().enumerate().map(pair).collect()
        }
        (Value::List(olds), Value::List(news)) => {
            let olds = partners(olds, news);
            let pair = |((new, node), old)| Pair {
                old,
                new,
                key: None,
                node,
            };
            news.iter().enumerate().zip(olds).map(pair).collect()
        }
        _ => Vec::new(),
    }
}

/// A child of the old tree.
pub(super) fn child(node: &Node, index: usize) -> &Node {
    match &node.value {
        Value::Map(entries) => entries.get(index).map_or(node, |it| &it.node),
        Value::List(items) => items.get(index).unwrap_or(node),
        _ => node,
    }
}

/// The key of a child, or its index.
pub(super) fn key(node: &Node, index: usize) -> String {
    match &node.value {
        Value::Map(entries) => entries.get(index).map(|it| it.key.clone()),
        _ => None,
    }
    .unwrap_or_else(|| index.to_string())
}

/// For each new item the old one that it was.
fn partners(olds: &[Node], news: &[Node]) -> Vec<Option<usize>> {
    let names = |items: &[Node]| items.iter().map(identity).collect::<Vec<_>>();
    let (old_names, new_names) = (names(olds), names(news));
    let mut partners = vec![None; news.len()];
    for change in capture_diff_slices(Algorithm::Myers, &old_names, &new_names) {
        let (old, new, length) = match change {
            DiffOp::Equal {
                old_index,
                new_index,
                len,
            } => (old_index, new_index, len),
            // As many as there were: each was changed in its place.
            DiffOp::Replace {
                old_index,
                old_len,
                new_index,
                new_len,
            } if old_len == new_len => (old_index, new_index, new_len),
            _ => continue,
        };
        for step in 0..length {
            partners[new + step] = Some(old + step);
        }
    }
    partners
}

/// What tells an item from others: where it was read, its name, or all of it.
fn identity(item: &Node) -> String {
    if item.mark.is_known() {
        return format!("{}:{}", item.mark.line, item.mark.column);
    }
    match field(item, "name").and_then(Node::as_str) {
        Some(name) => format!("name {name}"),
        None => serde_json::to_string(item).unwrap_or_default(),
    }
}
