//! A table as JSON Schema.
//!
//! A schema cannot say everything: rules over several fields, ranges that
//! depend on units, regexes. What it refuses is wrong; what it accepts may
//! still be.

use serde_json::{Map, Value, json};

use super::shape::{Field, Form, Object, Shape};

/// Where the files are that the schemas are shipped as.
pub const ADDRESS: &str = "urn:btp:schema:";

/// What a schema says of itself.
pub struct Head {
    /// The end of its `$id`: the name of its file.
    pub id: &'static str,
    /// What it is a schema of.
    pub title: &'static str,
    /// The same in a sentence.
    pub description: &'static str,
    /// Fields that the document must have beside those that the table requires.
    pub required: &'static [&'static str],
}

/// The schema of a whole document, for draft 2020-12.
#[must_use]
pub fn document(object: &Object, head: &Head) -> Value {
    let mut schema = Map::new();
    let dialect = "https://json-schema.org/draft/2020-12/schema";
    schema.insert("$schema".into(), dialect.into());
    schema.insert("$id".into(), format!("{ADDRESS}{}", head.id).into());
    schema.insert("title".into(), head.title.into());
    schema.insert("description".into(), head.description.into());
    schema.append(&mut of_object(object, head.required));
    Value::Object(schema)
}

/// An object with no other properties than its fields.
fn of_object(object: &Object, also: &[&str]) -> Map<String, Value> {
    let properties: Map<String, Value> = object
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), of_field(field)))
        .collect();
    let is_required = |field: &&Field| field.required || also.contains(&field.name);
    let required: Vec<&str> = object
        .fields
        .iter()
        .filter(is_required)
        .map(|field| field.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties.into());
    schema.insert("required".into(), required.into());
    schema.insert("additionalProperties".into(), false.into());
    schema
}

fn of_field(field: &Field) -> Value {
    let mut schema = Map::new();
    let mut description = field.description.to_owned();
    if let Some(default) = field.default {
        match value_of(&field.shape, default) {
            Some(default) => {
                schema.insert("default".into(), default);
            }
            None => description.push_str(&format!(" If it is left out: {default}.")),
        }
    }
    schema.insert("description".into(), description.into());
    let shape = of_shape(&field.shape);
    if field.required {
        if let Value::Object(mut shape) = shape {
            schema.append(&mut shape);
        }
    } else {
        // `null` stands for "left out" everywhere.
        let either = json!([shape, { "type": "null" }]);
        schema.insert("anyOf".into(), either);
    }
    Value::Object(schema)
}

/// A default as a value, if it is one and not a sentence.
fn value_of(shape: &Shape, default: &str) -> Option<Value> {
    match shape {
        Shape::Boolean => default.parse().ok().map(Value::Bool),
        Shape::Integer { .. } | Shape::Number | Shape::Percentage => {
            let number: i64 = default.parse().ok()?;
            Some(number.into())
        }
        Shape::Choice(names) => names.contains(&default).then(|| default.into()),
        Shape::Duration | Shape::Positive => {
            crate::scalar::Duration::parse(default).map(|_| default.into())
        }
        Shape::Quantity => {
            let number: i64 = default.parse().ok()?;
            Some(number.into())
        }
        Shape::Ours { ours, .. } => value_of(ours, default),
        Shape::Either(shapes) => shapes.iter().find_map(|shape| value_of(shape, default)),
        _ => None,
    }
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Never => json!({ "not": {} }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Percentage => json!({ "type": "number", "minimum": 0, "maximum": 100 }),
        Shape::Positive => {
            let pattern = "^(?=.*[1-9])([0-9]{1,5}(h|m|s|ms)){1,4}$";
            json!({ "type": "string", "pattern": pattern })
        }
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
        Shape::Object(object) => of_object(object, &[]).into(),
        Shape::Either(shapes) => {
            json!({ "anyOf": shapes.iter().map(of_shape).collect::<Vec<_>>() })
        }
        Shape::Ours { ours, .. } => of_shape(ours),
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
        Form::DnsLabel => Some("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        Form::Group => {
            Some("^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        }
        Form::Kind => Some("^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"),
        Form::Token => Some("^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$"),
        Form::OneLine => Some("^[^\\r\\n\\u0000]*$"),
        Form::Percent => Some("^(0|[1-9][0-9]?|100)%$"),
        Form::Base64 => Some("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
    }
}
