//! Any text as a policy file: what is read can be checked in every way, and
//! what is printed reads the same.

#![no_main]

use btp_policy::Regexes;
use btp_policy::document::{self, Document};
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::spec::{check_crd, check_native, lint};
use btp_policy::{Policy, json, legacy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(documents) = document::read(input) else {
        return;
    };
    for document in documents {
        let Document::Policy(mut node) = document else {
            continue;
        };
        let mut problems = Problems::default();
        legacy::upgrade_spelling(&mut node, &mut problems);
        Policy::read(Cursor::root(&node), &Regexes::default(), &mut problems);
        if let Some(spec) = node.field("spec") {
            check_crd(Cursor::root(spec), &mut problems);
            check_native(Cursor::root(spec), &mut problems);
            lint(Cursor::root(spec), &mut problems);
        }
        let printed = serde_json::to_string(&node).expect("any node is JSON");
        let read = json::parse(printed.as_bytes()).expect("what is printed is read");
        let again = serde_json::to_string(&read).expect("any node is JSON");
        assert_eq!(printed, again);
    }
});
