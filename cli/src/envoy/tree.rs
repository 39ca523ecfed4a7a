//! Envoy's configuration as a tree: the queries and changes of this program.
//!
//! Envoy accepts every field by its proto name (`filter_chains`) and by its JSON name
//! (`filterChains`), in any order, and null for absent. So do the functions here. A changed
//! field keeps its place and its spelling.

use std::fmt;

use btp_policy::node::{Entry, Mark, Node, Value};

/// Something else is where an object or a list must be. Prints as a predicate
/// whose subject is the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongKind {
    /// The field, by the way that was to be gone.
    pub(crate) field: String,
    pub(crate) wanted: &'static str,
}

impl WrongKind {
    fn new(field: &str, wanted: &'static str) -> Self {
        let field = field.to_owned();
        Self { field, wanted }
    }

    /// The same, as seen from further up.
    pub(crate) fn below(mut self, field: &str) -> Self {
        self.field = format!("{field}.{}", self.field);
        self
    }
}

impl fmt::Display for WrongKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "must be {}", self.wanted)
    }
}

/// An object without fields.
pub(crate) const EMPTY: Node = Node {
    mark: Mark::UNKNOWN,
    value: Value::Map(Vec::new()),
};

/// The field `name` of an object.
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

/// The items of the list `name`; none if it is absent.
pub(crate) fn items<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    match field(node, name).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The last part of the type of an `Any`, such as `HttpConnectionManager`.
pub(crate) fn type_of(any: &Node) -> Option<&str> {
    let url = any.field("@type")?.as_str()?;
    url.rsplit(['.', '/']).next()
}

/// The field `name`, to be changed; it may be null.
pub(crate) fn field_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    let Value::Map(entries) = &mut node.value else {
        return None;
    };
    let position = position(entries, name)?;
    Some(&mut entries[position].node)
}

/// The list `name`, made if it is absent.
///
/// # Errors
/// Something else is there, or `node` is no object.
pub(crate) fn list_mut<'a>(node: &'a mut Node, name: &str) -> Result<&'a mut Vec<Node>, WrongKind> {
    let wrong = || WrongKind::new(name, "a list");
    if !matches!(node.value, Value::Map(_)) {
        return Err(wrong());
    }
    match &mut child_mut(node, name, || Value::List(Vec::new())).value {
        Value::List(items) => Ok(items),
        _ => Err(wrong()),
    }
}

/// The object `name`, made if it is absent.
///
/// # Errors
/// Something else is there, or `node` is no object.
pub(crate) fn object_mut<'a>(node: &'a mut Node, name: &str) -> Result<&'a mut Node, WrongKind> {
    let wrong = || WrongKind::new(name, "an object");
    if !matches!(node.value, Value::Map(_)) {
        return Err(wrong());
    }
    let below = child_mut(node, name, || Value::Map(Vec::new()));
    match below.value {
        Value::Map(_) => Ok(below),
        _ => Err(wrong()),
    }
}

/// Sets the field `name`, in its old place if it has one.
pub(crate) fn set(node: &mut Node, name: &str, value: Node) {
    *child_mut(node, name, || Value::Null) = value;
}

/// Takes the field `name` out of an object.
pub(crate) fn remove(node: &mut Node, name: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else {
        return None;
    };
    let entry = entries.remove(position(entries, name)?);
    (entry.node.value != Value::Null).then_some(entry.node)
}

/// Sets the fields of the object `value` in `target`; objects merge deeply.
///
/// # Errors
/// Something else is where an object of `value` goes.
pub(crate) fn merge(target: &mut Node, value: &Node) -> Result<(), WrongKind> {
    let Value::Map(entries) = &value.value else {
        *target = value.clone();
        return Ok(());
    };
    for entry in entries {
        match entry.node.value {
            Value::Map(_) => {
                let below = object_mut(target, &entry.key)?;
                merge(below, &entry.node).map_err(|it| it.below(&entry.key))?;
            }
            _ => set(target, &entry.key, entry.node.clone()),
        }
    }
    Ok(())
}

/// Whether two trees say the same to Envoy.
pub(crate) fn same(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Value::Map(fields), Value::Map(others)) => {
            let counted = |fields: &[Entry]| fields.iter().filter(|it| is_there(it)).count();
            let has = |it: &Entry| field(right, &it.key).is_some_and(|other| same(&it.node, other));
            counted(fields) == counted(others) && fields.iter().filter(|it| is_there(it)).all(has)
        }
        (left, right) => left == right,
    }
}

/// A copy that has no place in any file.
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

/// An entry whose place is not known.
pub(crate) fn entry(key: &str, node: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        mark: Mark::UNKNOWN,
        node,
    }
}

/// The index of the field `name` among `entries`: of the one that is spelt
/// just so, if there are several (keys of a `Struct` are no field names).
pub(crate) fn position(entries: &[Entry], name: &str) -> Option<usize> {
    let exact = entries.iter().position(|it| it.key == name);
    exact.or_else(|| entries.iter().position(|it| is_same_name(&it.key, name)))
}

fn is_there(entry: &Entry) -> bool {
    entry.node.value != Value::Null
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

/// Whether two spellings name the same field.
fn is_same_name(left: &str, right: &str) -> bool {
    json_name(left).eq(json_name(right))
}

/// Protobuf's JSON name of a field: `max_requests` is `maxRequests`.
fn json_name(name: &str) -> impl Iterator<Item = char> {
    let mut is_upper = false;
    name.chars().filter_map(move |character| {
        if character == '_' {
            is_upper = true;
            return None;
        }
        let is_first = std::mem::take(&mut is_upper);
        Some(if is_first {
            character.to_ascii_uppercase()
        } else {
            character
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn tree(text: &str) -> Node {
        json::parse(text.as_bytes()).unwrap()
    }

    fn shown(node: &Node) -> String {
        serde_json::to_string(node).unwrap()
    }

    #[test]
    fn fields_are_found_under_both_names_by_both_names() {
        let node = tree(r#"{"filterChains":[{"a_b":1}],"max_retries":3,"x":null}"#);
        assert_eq!(items(&node, "filter_chains").len(), 1);
        assert!(field(&node, "maxRetries").is_some());
        assert_eq!(field(&node, "x"), None);
        for other in ["filter_chains_x", "filterchains", "filter_chain"] {
            assert_eq!(field(&node, other), None, "{other}");
        }
    }

    #[test]
    fn keys_that_differ_only_in_spelling_are_told_apart_where_both_are_there() {
        let mut node = tree(r#"{"aB":1,"a_b":2}"#);
        assert_eq!(shown(field(&node, "a_b").unwrap()), "2");
        set(&mut node, "a_b", Node::unplaced(Value::Int(3)));
        assert_eq!(shown(&node), r#"{"aB":1,"a_b":3}"#);
    }

    #[test]
    fn what_is_set_keeps_its_place_and_its_spelling() {
        let mut node = tree(r#"{"connectTimeout":"1s","name":"a"}"#);
        set(&mut node, "connect_timeout", tree(r#""2s""#));
        set(&mut node, "alt_stat_name", tree(r#""b""#));
        assert_eq!(
            shown(&node),
            r#"{"connectTimeout":"2s","name":"a","alt_stat_name":"b"}"#
        );
    }

    #[test]
    fn what_is_merged_keeps_what_it_does_not_name() {
        let mut node = tree(r#"{"maxRetries":1,"b":{"c":1,"d":null},"e":"text"}"#);
        let value = tree(r#"{"max_retries":2,"b":{"d":{"x":1}},"f":{"g":[1]}}"#);
        merge(&mut node, &value).unwrap();
        assert_eq!(
            shown(&node),
            r#"{"maxRetries":2,"b":{"c":1,"d":{"x":1}},"e":"text","f":{"g":[1]}}"#
        );
        let wrong = merge(&mut node, &tree(r#"{"b":{"c":{"x":1}}}"#)).unwrap_err();
        assert_eq!(format!("{} {wrong}", wrong.field), "b.c must be an object");
    }

    #[test]
    fn neither_order_nor_spelling_nor_null_makes_a_difference() {
        let one = tree(r#"{"max_retries":3,"b":{"c":[1,2]},"d":null}"#);
        assert!(same(&one, &tree(r#"{"b":{"c":[1,2]},"maxRetries":3}"#)));
        for other in [
            r#"{"b":{"c":[2,1]},"max_retries":3}"#,
            r#"{"b":{"c":[1,2]}}"#,
            r#"{"b":{"c":[1,2]},"max_retries":3,"d":1}"#,
            r#"{"b":{"c":[1,2]},"max_retries":4}"#,
        ] {
            assert!(!same(&one, &tree(other)), "{other}");
            assert!(!same(&tree(other), &one), "{other}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_left_alone() {
        let mut node = tree(r#"{"a":"text","c":{}}"#);
        assert!(object_mut(&mut node, "a").is_err() && list_mut(&mut node, "a").is_err());
        assert!(list_mut(&mut node, "c").is_err());
        assert!(object_mut(&mut node, "b").is_ok() && list_mut(&mut node, "d").is_ok());
        assert_eq!(shown(&node), r#"{"a":"text","c":{},"b":{},"d":[]}"#);
        assert!(object_mut(&mut tree("[]"), "a").is_err());
    }
}
