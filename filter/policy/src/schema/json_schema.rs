//! A table as JSON Schema.
//!
//! A schema cannot say everything: rules over several fields, ranges that
//! depend on units, regexes. What it refuses is wrong; what it accepts may
//! still be.

use serde_json::{Map, Value, json};

use super::shape::{Form, Object, Shape};

/// An object with no other properties than these.
pub(crate) fn closed(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

pub(crate) fn of_object(object: &Object) -> Value {
    let mut properties = Map::new();
    for field in object.fields {
        // `null` stands for "left out" everywhere.
        let schema = json!({ "anyOf": [of_shape(&field.shape), { "type": "null" }] });
        let schema = if field.required {
            of_shape(&field.shape)
        } else {
            schema
        };
        properties.insert(field.name.to_owned(), schema);
    }
    let required: Vec<&str> = object
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    closed(Value::Object(properties), &required)
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Integer { least, most } => {
            let mut schema = json!({ "type": "integer" });
            if *least != i64::MIN {
                insert(&mut schema, "minimum", (*least).into());
            }
            if *most != i64::MAX {
                insert(&mut schema, "maximum", (*most).into());
            }
            schema
        }
        Shape::Text { least, most, form } => {
            let mut schema = json!({ "type": "string" });
            if *least > 0 {
                insert(&mut schema, "minLength", (*least).into());
            }
            if *most != usize::MAX {
                insert(&mut schema, "maxLength", (*most).into());
            }
            if let Some(pattern) = pattern(*form) {
                insert(&mut schema, "pattern", pattern.into());
            }
            schema
        }
        Shape::Choice(names) => json!({ "enum": names }),
        Shape::Duration => {
            json!({ "type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$" })
        }
        Shape::Quantity => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^[1-9][0-9]*([EPTGM]i?|Ki|k)?$" },
        ] }),
        Shape::List {
            least,
            most,
            unique,
            item,
        } => {
            let mut schema = json!({ "type": "array", "items": of_shape(item) });
            if *least > 0 {
                insert(&mut schema, "minItems", (*least).into());
            }
            if *most != usize::MAX {
                insert(&mut schema, "maxItems", (*most).into());
            }
            if *unique == Some("") {
                insert(&mut schema, "uniqueItems", true.into());
            }
            schema
        }
        Shape::Dictionary(value) => {
            json!({ "type": "object", "additionalProperties": of_shape(value) })
        }
        Shape::Object(object) => of_object(object),
        Shape::Either(shapes) => {
            json!({ "anyOf": shapes.iter().map(of_shape).collect::<Vec<_>>() })
        }
        Shape::Wider { ours, .. } => of_shape(ours),
    }
}

fn insert(schema: &mut Value, key: &str, value: Value) {
    if let Some(map) = schema.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

fn pattern(form: Form) -> Option<&'static str> {
    match form {
        Form::Free => None,
        Form::DnsSubdomain => {
            Some("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        }
        Form::Group => {
            Some("^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        }
        Form::Kind => Some("^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"),
        Form::Token => Some("^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$"),
        Form::OneLine => Some("^[^\\r\\n\\u0000]*$"),
        Form::Base64 => Some("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
    }
}
