//! The JSON Schema of the plugin configuration, made from the tables.
//!
//! A schema cannot say everything: rules over several fields, ranges that
//! depend on units, regexes. What it refuses is wrong; what it accepts may
//! still be.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use crate::config::limits::LIMITS;
use crate::spec::Capability;

use super::shape::{Form, Object, Shape};
use super::spec::SPEC;

/// The schema, for draft 2020-12.
#[must_use]
pub fn json_schema() -> Value {
    let labels = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 253 });
    let capabilities: Vec<&str> = Capability::ALL.iter().map(|(name, _)| *name).collect();
    closed(
        json!({
            "policies": { "type": "array", "items": policy() },
            "gateway": closed(
                json!({ "name": name, "namespace": name, "listener": name, "labels": labels }),
                &["name"],
            ),
            "configMaps": { "type": "array", "items": config_map() },
            "namespaces": {
                "type": "array",
                "items": closed(
                    json!({
                        "name": name,
                        "labels": labels,
                        "disabled": { "type": "boolean" },
                    }),
                    &["name"],
                ),
            },
            "attachment": attachment(),
            "disabled": { "type": "boolean" },
            "enforce": { "type": "array", "items": { "enum": capabilities } },
            "position": { "enum": ["Downstream", "Upstream"] },
            "nativeFields": { "enum": ["Refuse", "Ignore", "Applied"] },
            "allowOnHeadersStopIteration": { "type": "boolean" },
            "limits": closed(limits(), &[]),
            "accessLog": { "type": "boolean" },
        }),
        &["policies"],
    )
    .as_object_mut()
    .map(|schema| {
        let mut whole = Map::new();
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        whole.insert("$schema".into(), dialect.into());
        whole.insert(
            "title".into(),
            "BackendTrafficPolicy for stock Envoy".into(),
        );
        whole.append(schema);
        Value::Object(whole)
    })
    .unwrap_or_default()
}

fn attachment() -> Value {
    let one = |key: &str| closed(json!({ key: { "type": "string", "minLength": 1 } }), &[key]);
    json!({ "oneOf": [one("allRoutes"), one("onlyRoute")] })
}

fn limits() -> Value {
    let of_key = |(name, bounds): &(&str, RangeInclusive<i64>)| {
        let schema =
            json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() });
        ((*name).to_owned(), schema)
    };
    Value::Object(LIMITS.iter().map(of_key).collect())
}

fn policy() -> Value {
    closed(
        json!({
            "apiVersion": { "const": crate::policy::API_VERSION },
            "kind": { "const": crate::policy::KIND },
            "metadata": metadata(),
            "spec": of_object(&SPEC),
            "status": {},
        }),
        &["metadata", "spec"],
    )
}

fn config_map() -> Value {
    let data = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    closed(
        json!({
            "apiVersion": { "const": "v1" },
            "kind": { "const": "ConfigMap" },
            "metadata": metadata(),
            "data": data,
            "immutable": { "type": "boolean" },
        }),
        &["metadata"],
    )
}

fn metadata() -> Value {
    json!({
        "type": "object",
        "properties": { "name": { "type": "string", "minLength": 1, "maxLength": 253 } },
        "required": ["name"],
    })
}

/// An object with no other properties than these.
fn closed(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn of_object(object: &Object) -> Value {
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
