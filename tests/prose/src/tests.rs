//! What the linter finds where it is planted, and what it passes over.

use std::path::Path;
use std::{env, fs, process};

use harper_core::weir::WeirLinter;

use crate::clean::Clean;
use crate::files;
use crate::rules::{self, Rules};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Rules, lines and words of what is found in a file of this name and content.
fn found(file: &str, content: &str) -> Vec<String> {
    let mut rules = Rules::read(folder()).expect("the rules can be read");
    let texts = files::texts(Path::new(file), content).expect("the file can be read");
    let findings = texts.iter().flat_map(|text| rules.check(text));
    findings
        .map(|it| {
            format!(
                "{} {}:{} {}",
                it.rule, it.place.line, it.place.column, it.words
            )
        })
        .collect()
}

#[test]
fn each_rule_of_ours_does_what_its_own_tests_say() {
    for (name, code) in rules::sources(&folder().join("rules")).expect("the rules can be read") {
        let mut rule = WeirLinter::new(&code).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(rule.count_tests() > 1, "{name} has too few tests");
        assert_eq!(rule.run_tests(), [], "{name}");
    }
}

#[test]
fn a_page_follows_all_rules() {
    let page = "# Limits\n\nA filter shall answer.\n\nIt refuses an\nan request, recieved late.\n";
    assert_eq!(
        found("page.md", page),
        [
            "Shall 3:10 shall",
            "RepeatedWords 5:12 an an",
            "AnA 6:1 an",
            "SpellCheck 6:13 recieved"
        ]
    );
}

#[test]
fn code_on_a_page_is_passed_over() {
    let page = "Write `what it wants`:\n\n```sh\nshall recieve\n```\n\n    indented shall\n";
    assert_eq!(found("page.md", page), [""; 0]);
}

#[test]
fn names_and_the_words_of_our_list_are_no_mistakes() {
    let page = "The hostcalls of a BackendTrafficPolicy, Limitador's and the upstream's.\n";
    assert_eq!(found("page.md", page), [""; 0]);
    assert_eq!(
        found("page.md", "The hostcallz.\n"),
        ["SpellCheck 1:5 hostcallz"]
    );
}

#[test]
fn a_comment_follows_our_rules() {
    let code = "//! The room.\n\n/// A filter\n/// shall answer.\nfn answer() {}\n";
    assert_eq!(found("filter/wasm/src/room.rs", code), ["Shall 4:5 shall"]);
    let spelling = "/// Recieves it.\nfn recieve() {}\n";
    assert_eq!(found("filter/wasm/src/room.rs", spelling), [""; 0]);
}

#[test]
fn a_message_follows_our_rules_where_users_read_it() {
    let code =
        "fn say() {\n    warn(\"the limit {limit} \\\n        of it was set in vain\");\n}\n";
    assert_eq!(found("cli/src/say.rs", code), ["InVain 3:23 in vain"]);
    let name = "fn say() { warn(\"in vain\") }\n";
    assert_eq!(found("cli/src/say.rs", name), [""; 0]);
    assert_eq!(found("xtask/src/say.rs", code), [""; 0]);
}

#[test]
fn code_for_tests_has_no_messages() {
    let code = "#[cfg(test)]\nmod tests {\n    const IT: &str = \"all of it was in vain\";\n}\n";
    assert_eq!(found("cli/src/say.rs", code), [""; 0]);
    let code = "const IT: &str = \"all of it was in vain\";\n";
    assert_eq!(found("cli/src/say/tests.rs", code), [""; 0]);
}

#[test]
fn a_statement_does_not_begin_with_who() {
    assert_eq!(
        found("page.md", "It ends. Who asks again waits.\n"),
        ["Who 1:10 Who"]
    );
    let others = "# Who waits\n\nWho waits?\n\nWho waits: a client.\n\nClients who ask wait.\n";
    assert_eq!(found("page.md", others), [""; 0]);
}

#[test]
fn a_sentence_with_too_many_words_is_too_long() {
    let words = |count| vec!["word"; count].join(", ");
    let page = format!("All: {}.\n", words(44));
    assert_eq!(found("page.md", &page), [""; 0]);
    let page = format!("All: {}; {}.\n", words(30), words(30));
    assert_eq!(found("page.md", &page), [""; 0]);
    let page = format!("All: {}.\n", words(45));
    assert_eq!(found("page.md", &page).len(), 1);
}

#[test]
fn a_clean_file_is_remembered_until_it_changes() {
    let list = env::temp_dir().join(format!("btp-prose-{}", process::id()));
    let read = || Clean::read(Some(list.clone()), folder()).expect("the list can be read");
    let (file, clean) = (Path::new("page.md"), read());
    let key = clean.key(file, "A filter answers.");
    assert!(!clean.has(key));
    clean.keep(&[key].into()).expect("the list can be written");
    let later = read();
    assert!(later.has(later.key(file, "A filter answers.")));
    assert!(!later.has(later.key(file, "A filter shall answer.")));
    fs::write(&list, "no number").expect("the list can be written");
    assert!(!read().has(key));
    fs::remove_file(&list).expect("it is there");
}
