//! The JSON Schema of the plugin configuration.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::limits::LIMITS;
use crate::schema::{closed, of_object};
use crate::spec::{Capability, SPEC};

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
