//! Envoy configuration as a tree: finding things in it and changing them.
//!
//! Envoy takes every field by its proto name (`filter_chains`) and by its
//! JSON name (`filterChains`). Fields are asked for by the former; what is
//! there is found under either.

use std::fmt;

use btp_policy::node::{Entry, Mark, Node, Value};

/// One step down a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A field, by its proto name.
    Key(String),
    /// An item of a list.
    Item(usize),
}

/// A place in one of the files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Index of the file.
    pub(crate) file: usize,
    /// The way from its root.
    pub(crate) path: Vec<Step>,
}

impl Address {
    /// The field `key` below.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The item `index` below.
    pub(crate) fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut path = self.path.clone();
        path.push(step);
        Self {
            file: self.file,
            path,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => formatter.write_str(key)?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Item(item) => write!(formatter, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// The field `name` of an object, unless it is absent or null.
pub(crate) fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let entry = &entries[position(entries, name)?];
    (entry.node.value != Value::Null).then_some(&entry.node)
}

/// The field at the end of a way of fields.
pub(crate) fn find<'a>(node: &'a Node, names: &[&str]) -> Option<&'a Node> {
    names.iter().try_fold(node, |node, name| field(node, name))
}

/// The text of the field `name`.
pub(crate) fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    field(node, name)?.as_str()
}

/// The items of the list `name`; none if it is not there.
pub(crate) fn items<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    match field(node, name).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The node at the end of a way.
pub(crate) fn at<'a>(root: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => field(node, key),
        Step::Item(index) => match &node.value {
            Value::List(items) => items.get(*index),
            _ => None,
        },
    })
}

/// The node at the end of a way, to be changed.
pub(crate) fn at_mut<'a>(root: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    path.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => field_mut(node, key),
        Step::Item(index) => match &mut node.value {
            Value::List(items) => items.get_mut(*index),
            _ => None,
        },
    })
}

/// The field `name`, to be changed.
pub(crate) fn field_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    let Value::Map(entries) = &mut node.value else {
        return None;
    };
    let position = position(entries, name)?;
    Some(&mut entries[position].node)
}

/// The items of the list `name`, which is made if it is not there.
pub(crate) fn list_mut<'a>(node: &'a mut Node, name: &str) -> &'a mut Vec<Node> {
    let list = child_mut(node, name, || Value::List(Vec::new()));
    if !matches!(list.value, Value::List(_)) {
        list.value = Value::List(Vec::new());
    }
    match &mut list.value {
        Value::List(items) => items,
        _ => unreachable!("made a list above"),
    }
}

/// The object `name`, which is made if it is not there.
pub(crate) fn object_mut<'a>(node: &'a mut Node, name: &str) -> &'a mut Node {
    child_mut(node, name, || Value::Map(Vec::new()))
}

fn child_mut<'a>(node: &'a mut Node, name: &str, make: fn() -> Value) -> &'a mut Node {
    if !matches!(node.value, Value::Map(_)) {
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut node.value else {
        unreachable!("made an object above")
    };
    let position = position(entries, name).unwrap_or_else(|| {
        entries.push(entry(name, Node::unplaced(make())));
        entries.len() - 1
    });
    let node = &mut entries[position].node;
    if node.value == Value::Null {
        *node = Node::unplaced(make());
    }
    node
}

/// Sets the field `name`, in its old place if it has one.
pub(crate) fn set(node: &mut Node, name: &str, value: Node) {
    *child_mut(node, name, || Value::Null) = value;
}

/// An entry whose place is not known.
pub(crate) fn entry(key: &str, node: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        mark: Mark::UNKNOWN,
        node,
    }
}

/// An object of these fields.
pub(crate) fn object<const N: usize>(fields: [(&str, Node); N]) -> Node {
    let entries = fields.into_iter().map(|(key, node)| entry(key, node));
    Node::unplaced(Value::Map(entries.collect()))
}

/// A list of these items.
pub(crate) fn list(items: Vec<Node>) -> Node {
    Node::unplaced(Value::List(items))
}

/// A text.
pub(crate) fn string(text: impl Into<String>) -> Node {
    Node::unplaced(Value::String(text.into()))
}

/// Whether two trees say the same, wherever they stand.
pub(crate) fn same(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(l, r)| l.key == r.key && same(&l.node, &r.node))
        }
        (left, right) => left == right,
    }
}

/// A copy that stands nowhere: what is put into a file has no place in it.
pub(crate) fn unplaced(node: &Node) -> Node {
    let value = match &node.value {
        Value::List(items) => Value::List(items.iter().map(unplaced).collect()),
        Value::Map(entries) => {
            let copy = entries.iter().map(|it| entry(&it.key, unplaced(&it.node)));
            Value::Map(copy.collect())
        }
        value => value.clone(),
    };
    Node::unplaced(value)
}

/// Where the field `name` stands among `entries`.
pub(crate) fn position(entries: &[Entry], name: &str) -> Option<usize> {
    entries.iter().position(|entry| is_called(&entry.key, name))
}

/// Whether `key` is the proto name `name` or its JSON form.
fn is_called(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    if key.len() >= name.len() || !name.contains('_') {
        return false;
    }
    let mut rest = key.chars();
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
            continue;
        }
        let wanted = if upper {
            character.to_ascii_uppercase()
        } else {
            character
        };
        upper = false;
        if rest.next() != Some(wanted) {
            return false;
        }
    }
    rest.next().is_none()
}

/// The last part of the type of an `Any`, such as `HttpConnectionManager`.
pub(crate) fn type_of(any: &Node) -> Option<&str> {
    let url = any.field("@type")?.as_str()?;
    url.rsplit(['.', '/']).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    #[test]
    fn fields_are_found_under_both_names() {
        let node = json::parse(br#"{"filterChains":[{"a_b":1}],"x":null}"#).unwrap();
        assert_eq!(items(&node, "filter_chains").len(), 1);
        assert_eq!(field(&node, "x"), None);
        assert!(!is_called("filterChainsX", "filter_chains"));
        assert!(!is_called("filterchains", "filter_chains"));
        let path = [
            Step::Key("filter_chains".into()),
            Step::Item(0),
            Step::Key("a_b".into()),
        ];
        assert_eq!(at(&node, &path).unwrap().value, Value::Int(1));
    }

    #[test]
    fn what_is_set_keeps_its_place_and_its_spelling() {
        let mut node = json::parse(br#"{"connectTimeout":"1s","name":"a"}"#).unwrap();
        set(&mut node, "connect_timeout", string("2s"));
        set(&mut node, "alt_stat_name", string("b"));
        assert_eq!(
            serde_json::to_string(&node).unwrap(),
            r#"{"connectTimeout":"2s","name":"a","alt_stat_name":"b"}"#
        );
    }
}
