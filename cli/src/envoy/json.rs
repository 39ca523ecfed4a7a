//! Envoy's configuration built in the order it is written here: the one way
//! to build JSON in this program.

use btp_policy::node::{Node, Value};
use btp_policy::scalar::{Duration, Quantity};

use super::tree::entry;

/// A [`Node`] in JSON's notation; `(…)` holds an expression, be it a key or a
/// value.
macro_rules! node {
    ({ $($key:tt : $value:tt),* $(,)? }) => {
        $crate::envoy::json::object::<&str>([
            $(($key, $crate::envoy::json::node!($value))),*
        ])
    };
    ([ $($item:tt),* $(,)? ]) => {
        $crate::envoy::json::list([$($crate::envoy::json::node!($item)),*])
    };
    ($value:expr) => { $crate::envoy::json::IntoNode::into_node($value) };
}
pub(crate) use node;

/// What can be a value in a configuration.
pub(crate) trait IntoNode {
    fn into_node(self) -> Node;
}

/// An object.
pub(crate) fn object<K: AsRef<str>>(fields: impl IntoIterator<Item = (K, Node)>) -> Node {
    let fields = fields.into_iter();
    let entries = fields.map(|(key, node)| entry(key.as_ref(), node));
    Node::unplaced(Value::Map(entries.collect()))
}

/// A list.
pub(crate) fn list(items: impl IntoIterator<Item = Node>) -> Node {
    Node::unplaced(Value::List(items.into_iter().collect()))
}

/// A text.
pub(crate) fn string(text: impl Into<String>) -> Node {
    Node::unplaced(Value::String(text.into()))
}

/// Adds a field to an object if there is a value for it.
pub(crate) fn put(object: &mut Node, key: &str, value: Option<impl IntoNode>) {
    if let (Value::Map(entries), Some(value)) = (&mut object.value, value) {
        entries.push(entry(key, value.into_node()));
    }
}

impl IntoNode for Node {
    fn into_node(self) -> Node {
        self
    }
}

impl IntoNode for &str {
    fn into_node(self) -> Node {
        string(self)
    }
}

impl IntoNode for &String {
    fn into_node(self) -> Node {
        string(self)
    }
}

impl IntoNode for String {
    fn into_node(self) -> Node {
        string(self)
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

impl IntoNode for i64 {
    fn into_node(self) -> Node {
        Node::unplaced(Value::Int(self))
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

/// What a policy has in any form.
impl IntoNode for &serde_json::Value {
    fn into_node(self) -> Node {
        use serde_json::Value as Json;
        match self {
            Json::Null => Node::unplaced(Value::Null),
            Json::Bool(value) => value.into_node(),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => whole.into_node(),
                None => number.as_f64().unwrap_or_default().into_node(),
            },
            Json::String(text) => text.into_node(),
            Json::Array(items) => list(items.iter().map(IntoNode::into_node)),
            Json::Object(fields) => object(fields.iter().map(|(name, it)| (name, it.into_node()))),
        }
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
