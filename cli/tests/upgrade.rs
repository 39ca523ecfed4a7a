//! A configuration that an earlier `btp` wrote, under today's: applying to it
//! is the same as applying to the original, and takes all of it back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/previous");
    let entries = fs::read_dir(folder).expect("the cases are there");
    let cases = entries.map(|entry| entry.expect("can be listed").path());
    let mut cases: Vec<PathBuf> = cases.filter(|it| it.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "only {} cases", cases.len());
    cases
}

/// The names of the original and of what was written from it.
fn files(case: &Path) -> (String, String) {
    let ending = if case.join("envoy.json").is_file() {
        "json"
    } else {
        "yaml"
    };
    (format!("envoy.{ending}"), format!("written.{ending}"))
}

fn read(case: &Path, file: &str) -> String {
    fs::read_to_string(case.join(file)).expect("is there")
}

fn btp(case: &Path, arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_btp"))
        .args(arguments.split_whitespace())
        .current_dir(case)
        .output()
        .expect("btp runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", case.display());
    String::from_utf8(output.stdout).expect("prints UTF-8")
}

/// A configuration without its layout.
fn tree(text: &str) -> String {
    let node = btp_policy::yaml::parse(text).expect("is YAML").remove(0);
    serde_json::to_string(&node).expect("is a tree")
}

#[test]
fn what_an_earlier_btp_wrote_is_undone_and_written_anew() {
    for case in cases() {
        let (original, written) = files(&case);
        let arguments = read(&case, "args");
        // As the .wasm that it was, and as a dynamic module.
        let module = match arguments.contains("--wasm") {
            true => arguments.replace("--wasm", "--module"),
            false => format!("{} --module", arguments.trim_end()),
        };
        let over = btp(&case, &module.replace(&original, &written));
        assert_eq!(
            tree(&over),
            tree(&btp(&case, &module)),
            "{}",
            case.display()
        );
        assert!(!over.contains("root_id"), "{}", case.display());
        let anew = btp(&case, &arguments);
        let over = btp(&case, &arguments.replace(&original, &written));
        assert_eq!(tree(&over), tree(&anew), "{}", case.display());
        assert_ne!(tree(&read(&case, &written)), tree(&read(&case, &original)));
        let count = |name: &str| tree(&over).matches(&format!("\"{name}\":")).count();
        assert_eq!(count("capability_restriction_config"), count("root_id"));
    }
}

#[test]
fn what_an_earlier_btp_wrote_is_taken_back() {
    let mut exact = 0;
    for case in cases() {
        let (original, written) = files(&case);
        let back = btp(&case, &format!("apply --bootstrap {written}"));
        let was = read(&case, &original);
        // As Envoy reads it, and as btp writes it where it changes nothing.
        let unchanged = btp(&case, &format!("apply --bootstrap {original}"));
        assert_eq!(tree(&back), tree(&unchanged), "{}", case.display());
        exact += usize::from(back == was);
    }
    assert!(exact > 0, "no file came back byte for byte");
}
