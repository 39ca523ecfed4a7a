//! The steps give a value or one problem, never both, never neither.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::json::parse;

fn problems_of(text: &str, read: impl Fn(Cursor<'_>, &mut Problems)) -> Vec<String> {
    let node = parse(text.as_bytes()).unwrap();
    let mut problems = Problems::default();
    read(Cursor::root(&node), &mut problems);
    let list = problems.into_vec();
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_duplicate_and_missing_fields_are_all_noted() {
    let found = problems_of(r#"{"nam":1,"a":2,"a":3}"#, |at, problems| {
        let object = at.object(&["name", "a"], problems).unwrap();
        assert!(object.required("name", problems).is_none());
    });
    assert_eq!(
        found,
        [
            "a: is given twice",
            "nam: is not a known field; did you mean \"name\"?",
            "name: is required",
        ]
    );
}

#[test]
fn null_is_absent() {
    let found = problems_of(r#"{"a":null}"#, |at, problems| {
        assert!(!at.object(&["a"], problems).unwrap().has("a"));
    });
    assert!(found.is_empty());
}

#[test]
fn an_optional_field_is_absent_read_or_wrong() {
    let found = problems_of(r#"{"off":null,"on":true,"odd":1}"#, |at, problems| {
        let object = at.open_object(problems).unwrap();
        let mut optional = |name| object.optional(name, problems, Cursor::boolean);
        assert_eq!(optional("none"), Some(None));
        assert_eq!(optional("off"), Some(None));
        assert_eq!(optional("on"), Some(Some(true)));
        assert_eq!(optional("odd"), None);
        let mut or = |name| object.or(name, true, problems, Cursor::boolean);
        assert_eq!(
            [or("none"), or("on"), or("odd")],
            [Some(true), Some(true), None]
        );
        let mut or_default = |name| object.or_default(name, problems, Cursor::boolean);
        let read = [or_default("none"), or_default("on"), or_default("odd")];
        assert_eq!(read, [Some(false), Some(true), None]);
    });
    assert_eq!(
        found,
        ["odd: must be true or false, not a number (got 1)"; 3]
    );
}

#[test]
fn numbers_out_of_range_name_range_and_value() {
    let found = problems_of("[7, \"a\", 6.5]", |at, problems| {
        at.list(0..=3, problems, |item, problems| {
            item.integer(1..=6, problems)
        });
    });
    assert_eq!(
        found,
        [
            "[0]: must be between 1 and 6 (got 7)",
            "[1]: must be a whole number, not a string (got \"a\")",
            "[2]: must be a whole number (got 6.5)",
        ]
    );
}

#[test]
fn a_wrong_choice_is_told_the_right_ones() {
    let found = problems_of("\"rang\"", |at, problems| {
        at.choice(&[("Value", 1), ("Range", 2)], problems);
    });
    assert_eq!(
        found,
        ["the document: must be one of Value, Range; did you mean \"Range\"? (got \"rang\")"]
    );
}

#[test]
fn list_sizes_are_checked() {
    let found = problems_of("[]", |at, problems| {
        at.list(1..=2, problems, |item, problems| item.boolean(problems));
    });
    assert_eq!(
        found,
        ["the document: must have 1 to 2 items (got a list of 0)"]
    );
}
