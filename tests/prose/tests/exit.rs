//! What the program prints, and its exit codes.

use std::process::{Command, Output};
use std::{env, fs, process};

/// Runs it on a page with this text.
fn run(name: &str, text: &str) -> Output {
    let page = env::temp_dir().join(format!("btp-prose-{name}-{}.md", process::id()));
    fs::write(&page, text).expect("the page can be written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_btp-prose"));
    let output = program.arg(&page).output().expect("it runs");
    fs::remove_file(&page).expect("it is there");
    output
}

#[test]
fn a_finding_is_printed_with_its_place_and_advice_and_is_a_failure() {
    let output = run("bad", "# Filter\n\nA filter shall answer.\n");
    let printed = String::from_utf8_lossy(&output.stdout);
    for part in [":3:10: Shall: \"shall\"", "A filter shall answer.", "must"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_page_in_order_is_a_success() {
    let output = run("good", "# Filter\n\nA filter answers.\n");
    assert!(output.stdout.is_empty());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_btp-prose"));
    let output = program.arg("nowhere.md").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}
