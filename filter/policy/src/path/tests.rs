#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{FieldPath, Path, Step};
use crate::json;

#[test]
fn prints_as_people_write_it() {
    let root = Path::Root;
    let policies = Path::Field(&root, "policies");
    let first = Path::Item(&policies, 1);
    let spec = Path::Field(&first, "spec");
    assert_eq!(spec.to_string(), "policies[1].spec");
    assert_eq!(FieldPath::from(spec).to_string(), "policies[1].spec");
    assert_eq!(FieldPath::from(Path::Root).to_string(), "");
}

#[test]
fn steps_lead_to_the_value_or_close_to_it() {
    let root = json::parse(br#"{"a":{"b.c":[1,{"c":2}]}}"#).unwrap();
    let text = |steps: &[Step]| {
        let path: FieldPath = steps.iter().cloned().collect();
        serde_json::to_string(path.closest(&root)).unwrap()
    };
    let (a, list) = (Step::field("a"), Step::field("b.c"));
    let way = [a.clone(), list.clone(), Step::Item(1), Step::field("c")];
    assert_eq!(text(&way), "2");
    assert_eq!(text(&[a.clone(), list, Step::Item(7)]), r#"[1,{"c":2}]"#);
    assert_eq!(text(&[a, Step::Item(0)]), r#"{"b.c":[1,{"c":2}]}"#);
    assert_eq!(text(&[Step::field("x")]), r#"{"a":{"b.c":[1,{"c":2}]}}"#);
}

#[test]
fn what_is_written_in_code_is_read() {
    for text in ["", "spec", "spec.targetRefs[0]", "a[1][2].b", "--out-dir"] {
        assert_eq!(FieldPath::written(text).to_string(), text);
    }
    let steps = [
        Step::field("a"),
        Step::Item(1),
        Step::Item(2),
        Step::field("b"),
    ];
    assert_eq!(FieldPath::written("a[1][2].b"), steps.into_iter().collect());
}

#[test]
fn names_are_kept_as_far_as_they_are_shown() {
    let long = "ä".repeat(1_000_000);
    let path: FieldPath = [Step::field(&long)].into_iter().collect();
    assert_eq!(path.to_string(), format!("{}…", "ä".repeat(80)));
    assert!(format!("{path:?}").len() < 2 * Step::LONGEST);
}
