//! Each row is read in a document, and says what is written down; each place and
//! each field that is named instead is in the schema, and no word is.

#![cfg(feature = "schema")]

use std::collections::BTreeSet;

use super::{BARE, FIELDS, Here, VALUES};
use crate::code::Code;
use crate::json;
use crate::policy::Policy;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regexes;
use crate::schema::{Object, Shape};
use crate::spec::{SPEC, check_crd, check_native};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A place that stands for one that may be anywhere or has any field in it.
fn example(place: &str) -> String {
    let selector = "rateLimit.local.rules[].clientSelectors[]";
    let place = match place.strip_prefix("**.") {
        Some(rest) if rest.starts_with("responseHeaders") => {
            format!("responseOverride[].match.{rest}")
        }
        Some(rest) => format!("{selector}.{rest}"),
        None => place.to_owned(),
    };
    let any = if place.starts_with("rateLimit") {
        "local"
    } else {
        "request"
    };
    place.replace('*', any)
}

/// A policy with `inner` at a place, and the path that leads there.
fn policy(place: &str, inner: &str) -> (String, String) {
    let steps: Vec<&str> = place.split('.').filter(|it| !it.is_empty()).collect();
    let mut text = inner.to_owned();
    for step in steps.iter().rev() {
        text = match step.strip_suffix("[]") {
            Some(name) => format!("{{{name:?}:[{text}]}}"),
            None => format!("{{{step:?}:{text}}}"),
        };
    }
    let path = format!("spec.{}", place.replace("[]", "[0]"));
    (
        format!(r#"{{"metadata":{{"name":"p"}},"spec":{text}}}"#),
        path.trim_end_matches('.').to_owned(),
    )
}

/// What is said of a policy as `btp lint` says it.
fn problems(text: &str) -> Vec<String> {
    let node = json::parse(text.as_bytes()).unwrap();
    let mut problems = Problems::default();
    Policy::read(Cursor::root(&node), &Regexes::default(), &mut problems);
    let root = Cursor::root(&node);
    let spec = node.field("spec").unwrap();
    let path = crate::path::Path::Field(&root.path, "spec");
    check_native(Cursor { node: spec, path }, &mut problems);
    let list = problems.into_vec();
    list.iter().map(ToString::to_string).collect()
}

/// The one problem at `path` itself.
fn said(text: &str, path: &str) -> String {
    let found = problems(text);
    let start = format!("{path}: ");
    let at: BTreeSet<&String> = found.iter().filter(|it| it.starts_with(&start)).collect();
    // Of an object that is none, rules over its fields have their say, too.
    let mut at = at.into_iter().filter(|it| {
        it.contains("is not a known field") || it.contains("must be one of") || it.contains("not a")
    });
    match (at.next(), at.next()) {
        (Some(one), None) => one.clone(),
        other => panic!("{text}: {other:?} of {found:#?}"),
    }
}

fn shape_at<'a>(object: &'a Object, place: &str) -> Option<&'a Shape> {
    let (first, rest) = place.split_once('.').unwrap_or((place, ""));
    let (name, is_item) = match first.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (first, false),
    };
    let field = object.fields.iter().find(|field| field.name == name)?;
    let shape = match (&field.shape, is_item) {
        (Shape::List { item, .. }, true) => item,
        (_, true) => return None,
        (shape, false) => shape,
    };
    match shape {
        _ if rest.is_empty() => Some(shape),
        Shape::Object(object) => shape_at(object, rest),
        _ => None,
    }
}

fn object_at(place: &str) -> &'static Object {
    if place.is_empty() {
        return &SPEC;
    }
    match shape_at(&SPEC, place) {
        Some(Shape::Object(object)) => object,
        other => panic!("{place}: {other:?}"),
    }
}

fn has_field(place: &str, name: &str) -> bool {
    match name.strip_prefix("spec.") {
        Some(path) => shape_at(&SPEC, path).is_some(),
        None => shape_at(object_at(place), name).is_some(),
    }
}

#[test]
fn each_place_and_each_field_that_is_meant_is_there_and_no_word_is() {
    for (place, words) in FIELDS.iter().copied().flatten() {
        let place = example(place);
        let mut seen: Vec<&str> = Vec::new();
        for (word, here) in *words {
            let known = object_at(&place).fields.iter();
            let is_known = known.into_iter().any(|it| {
                // In other letters it is a slip that a near name finds.
                it.name == *word
            });
            assert!(!is_known, "{place}.{word} is a field");
            assert!(
                !seen.iter().any(|it| super::is_same(it, word)),
                "{place}.{word} is there twice"
            );
            seen.push(word);
            if let Here::Is(name) = here {
                assert!(has_field(&place, name), "{place}.{word}: no {name}");
            }
        }
    }
    for (place, field) in BARE.iter().copied().flatten() {
        assert!(has_field(&example(place), field), "{place}: no {field}");
    }
}

#[test]
fn each_value_that_is_meant_is_one_of_the_choices() {
    for (place, values) in VALUES.iter().copied().flatten() {
        let place = example(place);
        for (value, here) in *values {
            let Here::Is(right) = here else { continue };
            let (text, path) = policy(&place, &format!("{right:?}"));
            let found = problems(&text);
            let start = format!("{path}: must be one of");
            let is_taken = !found.iter().any(|it| it.starts_with(&start));
            assert!(is_taken, "{value}: {right}: {found:#?}");
        }
    }
}

/// Every message of the tables, as a reader gives it.
fn messages() -> String {
    let mut lines = Vec::new();
    for (place, words) in FIELDS.iter().copied().flatten() {
        for (word, _) in *words {
            let (text, path) = policy(&example(place), &format!("{{{word:?}:1}}"));
            lines.push(said(&text, &format!("{path}.{word}")));
        }
    }
    for (place, values) in VALUES.iter().copied().flatten() {
        for (value, _) in *values {
            let (text, path) = policy(&example(place), &format!("{value:?}"));
            lines.push(said(&text, &path));
        }
    }
    for (place, _) in BARE.iter().copied().flatten() {
        let (text, path) = policy(&example(place), "5");
        lines.push(said(&text, &path));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[test]
fn each_row_says_what_is_written_down() {
    let wanted = include_str!("../../../testdata/mistaken-words.txt");
    let found = messages();
    #[cfg(not(target_arch = "wasm32"))]
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/mistaken-words.txt");
        std::fs::write(file, &found).unwrap();
        return;
    }
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.lines().count(), wanted.lines().count());
}

#[test]
fn envoys_letters_are_camel_case_here() {
    let (text, path) = policy("retry", r#"{"per_try_timeout":1,"num_retries":2}"#);
    let found = problems(&text);
    assert_eq!(
        found,
        [
            format!("{path}.per_try_timeout: is not a known field: it is perRetry.timeout here"),
            format!("{path}.num_retries: is not a known field; did you mean \"numRetries\"?"),
        ]
    );
}

#[test]
fn a_word_means_something_in_its_place_only() {
    for text in [
        r#"{"metadata":{"name":"p","count":1},"spec":{}}"#,
        r#"{"metadata":{"name":"p"},"spec":{"http2":{"attempts":1}}}"#,
        r#"{"metadata":{"name":"p"},"spec":{"retry":{"namespace":1}}}"#,
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("is not a known field; "), "{found:?}");
    }
}

#[test]
fn the_crd_profile_says_so_too() {
    let spec = json::parse(br#"{"targetRefs":[],"retry":{"retryBackOff":{}}}"#).unwrap();
    let mut problems = Problems::default();
    check_crd(Cursor::root(&spec), &mut problems);
    let found = problems.into_vec();
    let wanted = "is not a known field: it is perRetry.backOff here";
    assert!(found.iter().any(|it| it.reason == wanted), "{found:?}");
    assert!(
        found.iter().any(|it| it.code == Code::UnknownField),
        "{found:?}"
    );
}
