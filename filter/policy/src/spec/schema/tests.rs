//! The tables say something of every field, and something of its own.

use std::collections::BTreeMap;

use super::*;
use crate::config::CONFIG;
use crate::yaml;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Every field below an object once, with the path that leads to it first.
fn fields(object: &'static Object, path: &str, found: &mut Vec<(String, &'static Field)>) {
    for field in object.fields {
        if found.iter().any(|(_, known)| std::ptr::eq(*known, field)) {
            continue;
        }
        let path = format!("{path}.{}", field.name);
        found.push((path.clone(), field));
        if let Some(object) = field.shape.object() {
            fields(object, &path, found);
        }
    }
}

/// The letters of a text without those that join words.
fn letters(text: &str) -> String {
    let letters = text.chars().filter(|it| it.is_alphanumeric());
    letters.collect::<String>().to_lowercase()
}

#[test]
fn every_description_says_something_of_its_own() {
    let mut found = Vec::new();
    fields(&CONFIG, "", &mut found);
    assert!(found.len() > 300, "{}", found.len());
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, field) in &found {
        let text = field.description;
        assert!(text.ends_with('.'), "{path}: {text:?} is no sentence");
        assert!(text.split(' ').count() >= 4, "{path}: {text:?} is short");
        let name = letters(field.name);
        let own = text
            .split(' ')
            .map(letters)
            .filter(|it| !name.contains(it.as_str()));
        assert!(
            own.count() >= 3,
            "{path}: {text:?} says no more than the name"
        );
        if let Some(other) = seen.insert(text, path) {
            panic!("{path} and {other} are described by the same words: {text:?}");
        }
        for part in [field.default, field.example].into_iter().flatten() {
            assert!(!part.trim().is_empty(), "{path}");
        }
    }
}

#[test]
fn every_field_of_spec_has_an_owner_and_an_example() {
    for field in SPEC.fields {
        assert!(field.owner.is_some(), "{}", field.name);
        let example = field.example.expect(field.name);
        assert!(yaml::parse(example).is_ok(), "{}: {example}", field.name);
    }
}

#[test]
fn the_innermost_field_says_who_enforces_it() {
    for (path, owner) in [
        (&["timeout", "http"][..], Owner::Envoy),
        (&["rateLimit", "global", "rules"], Owner::Envoy),
        (
            &["rateLimit", "local", "rules"],
            Owner::Filter(Capability::RateLimit),
        ),
        (&["retry", "numRetries"], Owner::Envoy),
        (&["retry", "methods"], Owner::Filter(Capability::Retry)),
        (&["telemetry", "metrics"], Owner::Envoy),
    ] {
        assert_eq!(owner_at(path), Some(owner), "{path:?}");
    }
    assert_eq!(owner_at(&["timeouts"]), None);
}
