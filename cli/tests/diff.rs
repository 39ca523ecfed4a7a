//! `btp apply --diff`: what it shows, in which words, and how it ends.

mod run;

use run::btp;
use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("diff-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("can be made");
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/apply");
    for file in ["envoy.yaml", "policy.yaml"] {
        fs::copy(case.join(file), folder.join(file)).expect("can be copied");
    }
    folder
}

fn apply(folder: &Path, arguments: &str) -> (i32, String, String) {
    btp(folder, &format!("apply {arguments}"))
}

/// The lines of a diff that are taken out or put in.
fn changed(diff: &str) -> Vec<&str> {
    let lines = diff.lines();
    let is_change =
        |it: &&str| it.starts_with(['+', '-']) && !it.starts_with("+++") && !it.starts_with("---");
    lines.filter(is_change).collect()
}

#[test]
fn it_ends_as_diff_does_and_writes_nothing() {
    let folder = folder("codes");
    let before = fs::read(folder.join("envoy.yaml")).expect("is there");
    let (code, shown, said) = apply(&folder, "--bootstrap envoy.yaml -f policy.yaml --diff");
    assert_eq!(code, 1);
    assert!(
        shown.starts_with("--- envoy.yaml\n+++ envoy.yaml\n@@ "),
        "{shown}"
    );
    assert_eq!(said, "3 policies in 1 file: no problems\n");
    assert_eq!(
        fs::read(folder.join("envoy.yaml")).expect("is there"),
        before
    );

    let done = apply(&folder, "--bootstrap envoy.yaml -f policy.yaml -o out.yaml");
    assert_eq!(done.0, 0, "{}", done.2);
    let equal = apply(&folder, "--bootstrap out.yaml -f policy.yaml --diff");
    assert_eq!((equal.0, equal.1.as_str()), (0, ""));

    let policy = fs::read_to_string(folder.join("policy.yaml")).expect("is there");
    let wrong = policy.replacen("spec:\n", "spec:\n  timeouts: {}\n", 1);
    fs::write(folder.join("wrong.yaml"), wrong).expect("can be written");
    for wrong in [
        "--bootstrap envoy.yaml -f wrong.yaml --diff",
        "--bootstrap envoy.yaml -f nowhere.yaml --diff",
        "--bootstrap envoy.yaml -f policy.yaml --diff --no-such-option",
    ] {
        let (code, shown, _) = apply(&folder, wrong);
        assert_eq!((code, shown.as_str()), (2, ""), "{wrong}");
    }
}

#[test]
fn the_report_is_said_beside_it_only_if_asked_for() {
    let folder = folder("report");
    let options = "--bootstrap envoy.yaml -f policy.yaml";
    let (_, shown, _) = apply(&folder, &format!("{options} --diff"));
    let (code, report, _) = apply(&folder, &format!("{options} --dry-run"));
    assert_eq!(code, 0);
    let (code, both, said) = apply(&folder, &format!("{options} --dry-run --diff"));
    assert_eq!((code, &both), (1, &shown));
    assert!(said.ends_with(&report), "{said}");
}

/// A policy that changes is shown field by field, in all forms of the configuration.
#[test]
fn a_policy_that_changes_is_a_line_of_yaml() {
    for (name, options, out) in [
        ("yaml", "", "out.yaml"),
        ("json", "", "out.json"),
        ("module", "--module", "out.yaml"),
    ] {
        let folder = folder(&format!("policy-{name}"));
        // JSON made of YAML has a layout of its own; made of JSON it keeps that.
        for from in ["envoy.yaml", out] {
            let into = format!("--bootstrap {from} -f policy.yaml {options} -o {out}");
            assert_eq!(apply(&folder, &into).0, 0);
        }
        let policy = fs::read_to_string(folder.join("policy.yaml")).expect("is there");
        let other = policy.replace("fixedDelay: 100ms", "fixedDelay: 250ms");
        assert_ne!(policy, other);
        fs::write(folder.join("policy.yaml"), other).expect("can be written");
        let again = format!("--bootstrap {out} -f policy.yaml {options} --diff");
        let (code, shown, said) = apply(&folder, &again);
        assert_eq!(code, 1, "{said}");
        let changed: Vec<&str> = changed(&shown).iter().map(|it| it[1..].trim()).collect();
        let wanted = ["fixedDelay: \"100ms\"", "fixedDelay: \"250ms\""];
        assert_eq!(changed, wanted, "{name}: {shown}");
    }
}

/// Files of filters are compared with what is in the folder.
#[test]
fn files_beside_the_configuration_are_compared_with_those_that_are_there() {
    let folder = folder("ecds");
    let text = fs::read_to_string(folder.join("envoy.yaml")).expect("is there");
    let named = format!("node: {{id: a, cluster: b}}\n{text}");
    fs::write(folder.join("envoy.yaml"), named).expect("can be written");
    fs::create_dir_all(folder.join("live")).expect("can be made");
    let into = "--bootstrap envoy.yaml -f policy.yaml --out-dir live --ecds /etc/live";
    let (code, shown, said) = apply(&folder, &format!("{into} --diff"));
    assert_eq!(code, 1, "{said}");
    assert!(
        shown.contains("--- /dev/null\n+++ live/backend_traffic_policy.yaml"),
        "{shown}"
    );
    assert_eq!(apply(&folder, into).0, 0);
    let again = into.replace("--bootstrap envoy.yaml", "--bootstrap live/envoy.yaml");
    assert_eq!(apply(&folder, &format!("{again} --diff")).1, "");
    let policy = fs::read_to_string(folder.join("policy.yaml")).expect("is there");
    let other = policy.replace("fixedDelay: 100ms", "fixedDelay: 250ms");
    fs::write(folder.join("policy.yaml"), other).expect("can be written");
    let (code, shown, _) = apply(&folder, &format!("{again} --diff"));
    assert_eq!(code, 1);
    let changed: Vec<&str> = changed(&shown).iter().map(|it| it[1..].trim()).collect();
    assert!(changed.contains(&"fixedDelay: \"100ms\""), "{shown}");
    assert!(changed.contains(&"fixedDelay: \"250ms\""), "{shown}");
    assert!(!shown.contains("/dev/null"), "{shown}");
}
