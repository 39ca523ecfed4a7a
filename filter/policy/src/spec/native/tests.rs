//! The types know every field of the table, and no other.

use super::*;
use crate::json;
use crate::schema::{Form, Shape};
use crate::spec::SPEC;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A value of this shape with every field there is.
fn everything(shape: &Shape) -> serde_json::Value {
    match shape {
        Shape::Any => serde_json::json!({ "any": ["thing"] }),
        Shape::Boolean => true.into(),
        Shape::Number | Shape::Percentage => 1.into(),
        Shape::Never => serde_json::Value::Null,
        Shape::Integer { least, most } => 7.clamp(*least, *most).into(),
        Shape::Duration | Shape::Positive => "2s".into(),
        Shape::Quantity => "64Ki".into(),
        Shape::Choice(names) => names[0].into(),
        Shape::Text { form, .. } => match form {
            Form::Base64 => "Zm9v".into(),
            Form::Percent => "20%".into(),
            _ => "Service".into(),
        },
        Shape::List { item, .. } => vec![everything(item)].into(),
        Shape::Either(shapes) => everything(&shapes[0]),
        Shape::Ours { ours, .. } => everything(ours),
        Shape::Dictionary(value) => serde_json::json!({ "key": everything(value) }),
        Shape::Object(object) => object
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), everything(&field.shape)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn read(spec: &serde_json::Value) -> Result<Native, String> {
    let node = json::parse(spec.to_string().as_bytes()).unwrap();
    Native::read(&node).map_err(|error| error.to_string())
}

#[test]
fn every_field_of_the_table_has_a_place() {
    let mut spec = everything(&Shape::Object(&SPEC));
    spec["http2"]["onInvalidMessage"] = "TerminateStream".into();
    let native = read(&spec).unwrap();
    let window = native.http2.unwrap().initial_stream_window_size.unwrap();
    assert_eq!(window.get(), 65_536);
    let passive = native.health_check.unwrap().passive.unwrap();
    assert_eq!(passive.consecutive5_xx_errors, Some(7));
    assert_eq!(native.routing_type, Some(RoutingType::Service));
}

#[test]
fn whatever_the_checks_accept_can_be_read() {
    let text = include_str!("../../../testdata/crd-verdicts.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    for case in cases.iter().filter(|case| case["accept"] == true) {
        let found = read(&case["spec"]);
        assert!(found.is_ok(), "{}: {found:?}", case["name"]);
    }
}

#[test]
fn null_is_left_out() {
    let spec = serde_json::json!({ "timeout": { "http": null }, "dns": null });
    let native = read(&spec).unwrap();
    assert_eq!(native.timeout, Some(Timeout::default()));
    assert_eq!(native.dns, None);
}
