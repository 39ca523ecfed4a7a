//! The CRD's verdict on 149 policies, which the table must repeat.

use super::*;
use crate::json;
use crate::node::{Node, Value};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn cases() -> Vec<Node> {
    let text = include_bytes!("../../../testdata/crd-verdicts.json");
    match json::parse(text).unwrap().value {
        Value::List(cases) => cases,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_crd_profile_decides_as_the_crd_does() {
    let cases = cases();
    assert_eq!(cases.len(), 149);
    for case in &cases {
        let name = case.field("name").and_then(Node::as_str).unwrap();
        let accept = case.field("accept").unwrap().value == Value::Bool(true);
        let mut problems = Problems::default();
        check_crd(Cursor::root(case.field("spec").unwrap()), &mut problems);
        let found = problems.into_vec();
        assert_eq!(found.is_empty(), accept, "{name}: {found:?}");
    }
}

/// Fields, items and dictionary values below an object.
fn count(shape: &Shape) -> usize {
    match shape {
        Shape::Object(object) => object
            .fields
            .iter()
            .filter(|field| !field.extension)
            .map(|field| 1 + count(&field.shape))
            .sum(),
        Shape::List { item, .. } => match item {
            Shape::Object(_) => count(item),
            Shape::Integer { .. } | Shape::Choice(_) => usize::from(bounded(item)),
            _ => 0,
        },
        Shape::Dictionary(value) => match value {
            Shape::Object(_) => count(value),
            _ => 1,
        },
        Shape::Ours { crd, .. } => count(crd),
        _ => 0,
    }
}

/// Whether list items have rules of their own.
fn bounded(item: &Shape) -> bool {
    !matches!(item, Shape::Text { .. } | Shape::Any)
}

#[test]
fn the_table_is_complete() {
    assert_eq!(count(&Shape::Object(&SPEC)), 405);
}

#[test]
fn extensions_are_unknown_to_the_crd() {
    let spec = json::parse(
        br#"{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}],
             "retryConstraint":{}}"#,
    );
    let mut problems = Problems::default();
    check_crd(Cursor::root(&spec.unwrap()), &mut problems);
    assert_eq!(problems.into_vec()[0].path.to_string(), "retryConstraint");
}
