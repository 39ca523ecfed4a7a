//! JSON text into a [`Node`] tree, duplicate keys kept, and back.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::code::Code;
use crate::node::{Entry, Mark, Node, Value};
use crate::problem::Problem;

/// Reads one JSON text.
///
/// # Errors
/// The text is not JSON (RFC 8259), or nests deeper than 128 levels. The
/// problem's path is empty; its reason names line and column.
pub fn parse(text: &[u8]) -> Result<Node, Problem> {
    serde_json::from_slice(text).map_err(|error| {
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let mark = Mark::new(narrow(error.line()), narrow(error.column()));
        Problem::new("", Code::NotJson, format!("is not valid JSON: {error}")).at(mark)
    })
}

struct NodeVisitor;

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(NodeVisitor)
            .map(Self::unplaced)
    }
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "out of every range we accept")]
        let float = value as f64;
        Ok(i64::try_from(value).map_or(Value::Float(float), Value::Int))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::number(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, node)) = entries.next_entry()? {
            let mark = Mark::UNKNOWN;
            map.push(Entry { key, mark, node });
        }
        Ok(Value::Map(map))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &entry.node)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn duplicate_keys_are_kept_for_the_reader_to_refuse() {
        let node = parse(br#"{"a":1,"a":2}"#).unwrap();
        let Value::Map(entries) = node.value else {
            panic!("not a map")
        };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn integral_floats_are_integers() {
        assert_eq!(parse(b"5.0").unwrap().value, Value::Int(5));
        assert_eq!(parse(b"5.5").unwrap().value, Value::Float(5.5));
        assert_eq!(parse(b"1e300").unwrap().value, Value::Float(1e300));
    }

    #[test]
    fn broken_json_says_where() {
        let problem = parse(b"{\"a\":\n 1,}").unwrap_err();
        assert!(problem.to_string().contains("line 2"), "{problem}");
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_stack_overflow() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
