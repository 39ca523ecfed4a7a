//! The reference page shows what `btp` really prints.

use std::fs;
use std::path::Path;
use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/policy.md");

/// The fenced blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn every_example_prints_what_the_page_says() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs");
    fs::create_dir_all(&directory).expect("can be made");
    let mut runs = 0;
    for (language, text) in blocks(&page) {
        if language == "yaml" {
            fs::write(directory.join("policy.yaml"), text).expect("can be written");
            continue;
        }
        let (command, wanted) = text.split_once('\n').expect("has a command");
        let arguments = command.strip_prefix("$ btp ").expect("runs btp");
        let output = Command::new(env!("CARGO_BIN_EXE_btp"))
            .args(arguments.split_whitespace())
            .current_dir(&directory)
            .output()
            .expect("btp runs");
        let printed = [output.stderr, output.stdout].concat();
        let printed = String::from_utf8(printed).expect("prints UTF-8");
        assert_eq!(printed, wanted, "{command}");
        runs += 1;
    }
    assert!(runs >= 3, "only {runs} examples");
}
