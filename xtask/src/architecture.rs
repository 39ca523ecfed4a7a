//! The architecture as a test: no two modules import each other except parent and child,
//! and in the engine every import goes down to a lower floor.
//!
//! Imports are read from the source: `use` and qualified paths, resolved
//! through `crate`, `self`, `super`, re-exports, renames and globs to the
//! module that defines the item. What only tests compile is left out.

mod crates;
mod resolve;
mod rules;
mod scan;

use std::path::{Path, PathBuf};

use crates::Sources;
use rules::Floors;

/// The crates whose modules must not import each other in a circle.
const CRATES: [&str; 7] = [
    "filter/policy",
    "filter/engine",
    "filter/formats",
    "filter/wasm",
    "filter/module",
    "cli",
    "xtask",
];

/// The engine's rooms, from the ground up. A room may import from lower floors
/// only; those that share a floor do not know each other.
const ENGINE: Floors = &[
    &["scheduler"],
    &["host"],
    &["action", "decision"],
    &["event"],
    &["request", "grpc", "shared"],
    &["definitions"],
    &[
        "fault",
        "rate_limit",
        "request_buffer",
        "response_override",
        "retry",
    ],
    &["plan"],
    &["worker", "announcement"],
    &["exchange", "update"],
    &["testing"],
];

fn crate_of(name: &str) -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.map_or_else(PathBuf::new, Path::to_path_buf);
    Sources::read(&root.join(name).join("src")).expect("sources")
}

fn circles(sources: &Sources) -> Vec<String> {
    rules::circles(&resolve::imports(&sources.scan().expect("Rust")))
}

fn upward(sources: &Sources) -> Vec<String> {
    rules::upward(&resolve::imports(&sources.scan().expect("Rust")), ENGINE)
}

#[test]
fn no_circle_among_modules() {
    let found: Vec<String> = CRATES
        .iter()
        .flat_map(|name| {
            let circles = circles(&crate_of(name)).into_iter();
            circles.map(move |circle| format!("{name}: {circle}"))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_engines_imports_go_down() {
    let found = upward(&crate_of("filter/engine"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A crate of these files.
fn made_of(files: &[(&str, &str)]) -> Sources {
    files.iter().fold(Sources::default(), |all, (file, text)| {
        all.plant(file, text)
    })
}

#[test]
fn a_circle_is_found_through_reexports_renames_globs_and_super() {
    let root = ("lib.rs", "mod a; mod b; pub use b::deep::Thing;");
    let b = [
        ("b.rs", "pub mod deep;"),
        (
            "b/deep.rs",
            "pub struct Thing; fn ask() { crate::a::answer(); }",
        ),
    ];
    for a in [
        "pub fn answer() {} use crate::Thing;",
        "pub fn answer() {} use super::Thing as Other;",
        "pub fn answer() {} use crate::*; type Mine = Thing;",
        "pub fn answer() {} fn mine(_: super::b::deep::Thing) {}",
        "pub fn answer() {} fn mine() { log!(\"{}\", crate::b::deep::Thing); }",
        "pub fn answer() {} mod inner { use super::super::Thing; }",
    ] {
        let found = circles(&made_of(&[root, ("a.rs", a), b[0], b[1]]));
        assert_eq!(found.len(), 1, "{a}: {found:?}");
    }
}

#[test]
fn parents_children_and_tests_make_no_circle() {
    let sources = made_of(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod part; pub struct Whole; use part::Part;"),
        (
            "a/part.rs",
            "use super::Whole; pub struct Part; use std::a::b;",
        ),
        (
            "b.rs",
            "use crate::a::Whole; #[cfg(test)] mod tests { use crate::a; }",
        ),
    ])
    .plant("a.rs", "#[cfg(test)] mod tests { use crate::b; }")
    .plant("a.rs", "#[cfg(test)] use crate::b::X;");
    assert!(circles(&sources).is_empty());
}

#[test]
fn a_planted_circle_in_the_engine_is_found() {
    let planted = crate_of("filter/engine").plant("action.rs", "use crate::Exchange as Planted;");
    let found = circles(&planted).join("\n");
    assert!(found.contains("action by action.rs"), "{found}");
    assert!(found.contains("crate::Exchange"), "{found}");
}

#[test]
fn a_planted_upward_arrow_in_the_engine_is_found() {
    let planted = crate_of("filter/engine").plant("request.rs", "use crate::retry::Ledger as P;");
    let found = upward(&planted).join("\n");
    assert!(found.contains("request must not know retry"), "{found}");
    let planted = crate_of("filter/engine").plant("fault.rs", "use super::retry::Ledger as P;");
    let found = upward(&planted).join("\n");
    assert!(found.contains("fault must not know retry"), "{found}");
    let planted = crate_of("filter/engine")
        .plant("lib.rs", "mod planted;")
        .plant("planted.rs", "use crate::Plan as P;");
    let found = upward(&planted).join("\n");
    assert!(found.contains("room planted has no floor"), "{found}");
}
