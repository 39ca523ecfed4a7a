//! Envoy's JSON as document trees, in the order it is written here.

use btp_policy::node::{Entry, Mark, Node, Value};
use btp_policy::scalar::{Duration, Quantity};

/// A [`Node`] in JSON's notation; `(…)` holds an expression.
macro_rules! node {
    ({ $($key:literal : $value:tt),* $(,)? }) => {
        $crate::translate::tree::object([$(($key, $crate::translate::tree::node!($value))),*])
    };
    ([ $($item:tt),* $(,)? ]) => {
        $crate::translate::tree::list([$($crate::translate::tree::node!($item)),*])
    };
    ($value:expr) => { $crate::translate::tree::IntoNode::into_node($value) };
}
pub(super) use node;

/// What can stand in a configuration.
pub(super) trait IntoNode {
    fn into_node(self) -> Node;
}

/// An object.
pub(super) fn object(fields: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
    Node::unplaced(Value::map(fields))
}

/// A list.
pub(super) fn list(items: impl IntoIterator<Item = Node>) -> Node {
    Node::unplaced(Value::List(items.into_iter().collect()))
}

/// Adds a field to an object if there is a value for it.
pub(super) fn put(object: &mut Node, key: &str, value: Option<impl IntoNode>) {
    if let (Value::Map(entries), Some(value)) = (&mut object.value, value) {
        entries.push(Entry {
            key: key.to_owned(),
            mark: Mark::UNKNOWN,
            node: value.into_node(),
        });
    }
}

impl IntoNode for Node {
    fn into_node(self) -> Node {
        self
    }
}

impl IntoNode for &str {
    fn into_node(self) -> Node {
        Node::unplaced(Value::String(self.to_owned()))
    }
}

impl IntoNode for String {
    fn into_node(self) -> Node {
        Node::unplaced(Value::String(self))
    }
}

impl IntoNode for bool {
    fn into_node(self) -> Node {
        Node::unplaced(Value::Bool(self))
    }
}

impl IntoNode for u32 {
    fn into_node(self) -> Node {
        Node::unplaced(Value::Int(self.into()))
    }
}

impl IntoNode for i32 {
    fn into_node(self) -> Node {
        Node::unplaced(Value::Int(self.into()))
    }
}

impl IntoNode for f64 {
    fn into_node(self) -> Node {
        Node::unplaced(Value::number(self))
    }
}

/// Protobuf's form: seconds, with nine digits behind the point at most.
impl IntoNode for Duration {
    fn into_node(self) -> Node {
        const NANOS: u64 = 1_000_000_000;
        let (seconds, nanos) = (self.as_nanos() / NANOS, self.as_nanos() % NANOS);
        let text = match nanos {
            0 => format!("{seconds}s"),
            _ => format!("{seconds}.{:03}s", nanos / 1_000_000),
        };
        text.into_node()
    }
}

/// Checked before: what is written as a quantity has 32 bits in Envoy.
impl IntoNode for Quantity {
    fn into_node(self) -> Node {
        Node::unplaced(Value::Int(i64::try_from(self.get()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds() {
        for (written, expected) in [
            ("0s", "0s"),
            ("250ms", "0.250s"),
            ("1h1ms", "3600.001s"),
            ("2m", "120s"),
        ] {
            let node = Duration::parse(written).unwrap().into_node();
            assert_eq!(node.as_str(), Some(expected));
        }
    }

    #[test]
    fn fields_keep_their_order() {
        let mut node = node!({ "z": 1, "a": [true, "x", { "n": (0.5) }] });
        put(&mut node, "m", Some("late"));
        put(&mut node, "none", None::<bool>);
        let text = serde_json::to_string(&node).unwrap();
        assert_eq!(text, r#"{"z":1,"a":[true,"x",{"n":0.5}],"m":"late"}"#);
    }
}
