//! Finding a place in an object, and making it where it is missing.

use btp_policy::node::{Entry, Mark, Node, Value};

use crate::translate::change::Step;
use crate::translate::tree::IntoNode;

/// Whether what is missing on the way is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// It is made.
    Make,
    /// Nothing is visited then.
    Existing,
}

pub(super) const EMPTY: Node = Node {
    mark: Mark::UNKNOWN,
    value: Value::Map(Vec::new()),
};

/// Looks up fields as Envoy does: by either name, null as absent.
pub(super) trait Fields {
    fn get(&self, name: &str) -> Option<&Node>;
    /// The field, made as an empty object where it is missing.
    fn entry(&mut self, name: &str) -> Option<&mut Node>;
    fn set(&mut self, name: &str, value: Node);
    fn remove(&mut self, name: &str) -> Option<Node>;
    /// `@type` ends in this.
    fn is_a(&self, name: &str) -> bool;
}

impl Fields for Node {
    fn get(&self, name: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let entry = &entries[position(entries, name)?];
        (entry.node.value != Value::Null).then_some(&entry.node)
    }

    fn entry(&mut self, name: &str) -> Option<&mut Node> {
        if self.get(name).is_none() {
            self.set(name, EMPTY);
        }
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let index = position(entries, name)?;
        Some(&mut entries[index].node)
    }

    fn set(&mut self, name: &str, value: Node) {
        if let Value::Map(entries) = &mut self.value {
            match position(entries, name) {
                Some(index) => entries[index].node = value,
                None => entries.push(Entry {
                    key: name.to_owned(),
                    mark: Mark::UNKNOWN,
                    node: value,
                }),
            }
        }
    }

    fn remove(&mut self, name: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let entry = entries.remove(position(entries, name)?);
        (entry.node.value != Value::Null).then_some(entry.node)
    }

    fn is_a(&self, name: &str) -> bool {
        let kind = self.get("@type").and_then(Node::as_str);
        kind.is_some_and(|kind| kind.rsplit(['.', '/']).next() == Some(name))
    }
}

/// Calls `end` with what stands at the end of `path`; it may put something
/// else there, or nothing.
pub(super) fn visit(
    node: &mut Node,
    path: &[Step],
    how: Visit,
    end: &mut dyn FnMut(&mut Option<Node>) -> Result<(), String>,
) -> Result<(), String> {
    let Some((step, rest)) = path.split_first() else {
        let mut slot = Some(std::mem::replace(node, EMPTY));
        let done = end(&mut slot);
        *node = slot.unwrap_or(EMPTY);
        return done;
    };
    match step {
        Step::Field(name) => visit_field(node, name, rest, how, end),
        Step::Each => {
            for item in items(node)? {
                visit(item, rest, how, end)?;
            }
            Ok(())
        }
        Step::Item {
            key,
            value,
            is_default,
        } => {
            let is_it = |item: &Node| match item.get(key).map(|it| &it.value) {
                Some(Value::String(text)) => text == value,
                Some(_) => false,
                None => *is_default,
            };
            let items = items(node)?;
            let index = match items.iter().position(is_it) {
                Some(index) => index,
                None if how == Visit::Existing => return Ok(()),
                None => {
                    let mut item = EMPTY;
                    item.set(key, value.into_node());
                    items.push(item);
                    items.len() - 1
                }
            };
            visit(&mut items[index], rest, how, end)
        }
    }
}

fn visit_field(
    node: &mut Node,
    name: &str,
    rest: &[Step],
    how: Visit,
    end: &mut dyn FnMut(&mut Option<Node>) -> Result<(), String>,
) -> Result<(), String> {
    let Value::Map(entries) = &mut node.value else {
        return Err(format!("must be an object to have a field {name}"));
    };
    let index = position(entries, name);
    let is_there = index.is_some_and(|index| entries[index].node.value != Value::Null);
    let is_each = rest.first() == Some(&Step::Each);
    if !is_there && (is_each || how == Visit::Existing) {
        return Ok(());
    }
    if rest.is_empty() {
        let before = index.map(|index| std::mem::replace(&mut entries[index].node, EMPTY));
        let mut slot = before.filter(|node| node.value != Value::Null);
        let done = end(&mut slot);
        match slot {
            Some(value) => node.set(name, value),
            None => drop(node.remove(name)),
        }
        return done;
    }
    if !is_there {
        let empty = match rest.first() {
            Some(Step::Field(_)) | None => EMPTY,
            Some(_) => Node::unplaced(Value::List(Vec::new())),
        };
        node.set(name, empty);
    }
    match node.entry(name) {
        Some(below) => visit(below, rest, how, end),
        None => Ok(()),
    }
}

fn items(node: &mut Node) -> Result<&mut Vec<Node>, String> {
    match &mut node.value {
        Value::List(items) => Ok(items),
        _ => Err("must be a list".to_owned()),
    }
}

/// Sets the fields of `value` in `target`; objects merge deeply.
pub(super) fn merge(target: &mut Node, value: &Node) {
    let Value::Map(entries) = &value.value else {
        *target = value.clone();
        return;
    };
    if !matches!(target.value, Value::Map(_)) {
        *target = EMPTY;
    }
    for entry in entries {
        match (&entry.node.value, target.entry(&entry.key)) {
            (Value::Map(_), Some(below)) => merge(below, &entry.node),
            _ => target.set(&entry.key, entry.node.clone()),
        }
    }
}

/// Whether two values say the same, wherever they stand in a file.
pub(super) fn same(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Value::Map(fields), Value::Map(others)) => {
            let has = |entry: &Entry| {
                right
                    .get(&entry.key)
                    .is_some_and(|it| same(&entry.node, it))
            };
            fields.len() == others.len() && fields.iter().all(has)
        }
        (left, right) => left == right,
    }
}

fn position(entries: &[Entry], name: &str) -> Option<usize> {
    let json = json_name(name);
    let is_it = |entry: &Entry| entry.key == name || entry.key == json;
    entries.iter().position(is_it)
}

/// Protobuf's JSON name of a field: `max_requests` is `maxRequests`.
fn json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut is_next = false;
    for character in name.chars() {
        if character == '_' {
            is_next = true;
        } else if is_next {
            json.push(character.to_ascii_uppercase());
            is_next = false;
        } else {
            json.push(character);
        }
    }
    json
}
