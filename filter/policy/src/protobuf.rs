//! A serialized `google.protobuf.Struct` into a [`Node`] tree.
//!
//! Envoy hands a plugin configuration that is written as a `Struct` over in
//! protobuf's binary form (seen on 1.40), so that is read too: it lets
//! people write policies as YAML in the middle of Envoy's own YAML.
//!
//! Source: `google/protobuf/struct.proto` and the protobuf wire format.

use crate::node::{Entry, Mark, Node, Value};

/// As deep as JSON may nest.
const DEEPEST: usize = 128;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

/// The tree that `bytes` hold, or `None` if they are no `Struct`.
#[must_use]
pub fn parse_struct(bytes: &[u8]) -> Option<Node> {
    read_struct(bytes, DEEPEST).map(Node::unplaced)
}

/// `Struct { map<string, Value> fields = 1; }`
fn read_struct(bytes: &[u8], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut fields = Fields { rest: bytes };
    let mut entries = Vec::new();
    while let Some(field) = fields.next()? {
        let Field::Bytes(1, entry) = field else {
            return None;
        };
        entries.push(read_entry(entry, depth)?);
    }
    Some(Value::Map(entries))
}

/// `FieldsEntry { string key = 1; Value value = 2; }`
fn read_entry(bytes: &[u8], depth: usize) -> Option<Entry> {
    let mut fields = Fields { rest: bytes };
    let mut key = "";
    let mut value = Value::Null;
    while let Some(field) = fields.next()? {
        match field {
            Field::Bytes(1, text) => key = std::str::from_utf8(text).ok()?,
            Field::Bytes(2, bytes) => value = read_value(bytes, depth)?,
            _ => return None,
        }
    }
    Some(Entry {
        key: key.to_owned(),
        mark: Mark::UNKNOWN,
        node: Node::unplaced(value),
    })
}

/// `Value { oneof { null = 1; double = 2; string = 3; bool = 4; Struct = 5;
/// ListValue = 6; } }`
fn read_value(bytes: &[u8], depth: usize) -> Option<Value> {
    let mut fields = Fields { rest: bytes };
    let mut value = Value::Null;
    while let Some(field) = fields.next()? {
        value = match field {
            Field::Varint(1, _) => Value::Null,
            Field::Fixed64(2, bits) => Value::number(f64::from_bits(bits)),
            Field::Bytes(3, text) => Value::String(std::str::from_utf8(text).ok()?.to_owned()),
            Field::Varint(4, flag) => Value::Bool(flag != 0),
            Field::Bytes(5, bytes) => read_struct(bytes, depth)?,
            Field::Bytes(6, bytes) => read_list(bytes, depth)?,
            _ => return None,
        };
    }
    Some(value)
}

/// `ListValue { repeated Value values = 1; }`
fn read_list(bytes: &[u8], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut fields = Fields { rest: bytes };
    let mut items = Vec::new();
    while let Some(field) = fields.next()? {
        let Field::Bytes(1, item) = field else {
            return None;
        };
        items.push(Node::unplaced(read_value(item, depth)?));
    }
    Some(Value::List(items))
}

/// A field: its number and what it holds.
enum Field<'a> {
    Varint(u64, u64),
    Fixed64(u64, u64),
    Bytes(u64, &'a [u8]),
}

/// The fields of a message, one after the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next field; `Some(None)` at the end, `None` if malformed.
    #[expect(clippy::option_option, reason = "an end is not an error")]
    fn next(&mut self) -> Option<Option<Field<'a>>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        Some(Some(match tag & 7 {
            VARINT => Field::Varint(number, self.varint()?),
            FIXED64 => {
                let (bits, rest) = self.rest.split_first_chunk::<8>()?;
                self.rest = rest;
                Field::Fixed64(number, u64::from_le_bytes(*bits))
            }
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Field::Bytes(number, bytes)
            }
            _ => return None,
        }))
    }

    fn varint(&mut self) -> Option<u64> {
        const LONGEST: usize = 10;
        let mut value = 0_u64;
        for index in 0..LONGEST {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f).wrapping_shl(u32::try_from(index * 7).ok()?);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap());
        out.extend_from_slice(bytes);
        out
    }

    fn write(value: &Value) -> Vec<u8> {
        match value {
            Value::Null => vec![0x08, 0],
            Value::Bool(flag) => vec![0x20, u8::from(*flag)],
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            Value::Int(whole) => write(&Value::Float(*whole as f64)),
            Value::Float(float) => [&[0x11][..], &float.to_le_bytes()].concat(),
            Value::String(text) => field(3, text.as_bytes()),
            Value::Map(_) => field(5, &write_struct(value)),
            Value::List(items) => {
                let items = items.iter().flat_map(|item| field(1, &write(&item.value)));
                field(6, &items.collect::<Vec<u8>>())
            }
        }
    }

    fn write_struct(value: &Value) -> Vec<u8> {
        let Value::Map(entries) = value else {
            panic!("not a map")
        };
        let entry = |entry: &Entry| {
            let key = field(1, entry.key.as_bytes());
            field(1, &[key, field(2, &write(&entry.node.value))].concat())
        };
        entries.iter().flat_map(entry).collect()
    }

    #[test]
    fn reads_what_json_says() {
        let long = "x".repeat(300);
        let text = format!(
            r#"{{"a":null,"b":true,"c":5,"d":0.5,"e":"{long}","f":[1,[],{{}}],"g":{{"h":"ü"}}}}"#
        );
        let node = json::parse(text.as_bytes()).unwrap();
        assert_eq!(parse_struct(&write_struct(&node.value)), Some(node));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut bytes = Vec::new();
        for _ in 0..200 {
            bytes = field(1, &[field(1, b"k"), field(2, &field(5, &bytes))].concat());
        }
        assert_eq!(parse_struct(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(0_u8.., 0..100)) {
            let _ = parse_struct(&bytes);
        }

        #[test]
        fn a_struct_cut_short_is_never_mistaken_for_the_whole(cut in 0_usize..60) {
            let node = json::parse(br#"{"policies":[{"metadata":{"name":"p"},"spec":{}}]}"#).unwrap();
            let bytes = write_struct(&node.value);
            if cut < bytes.len() && cut > 0 {
                prop_assert_ne!(parse_struct(&bytes[..cut]), Some(node));
            }
        }
    }
}
