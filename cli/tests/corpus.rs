//! Configurations as people write them, each in its own way (comments,
//! anchors, brackets, line ends): `btp apply` changes the lines that it must,
//! and takes its changes back to the last byte.
//!
//! Each folder under `corpus/` holds a configuration and `touched.txt`: the
//! lines of it that each of `corpus/policies` changes.
//! `UPDATE_GOLDEN=1 cargo test -p btp --test corpus` writes the latter anew;
//! the difference is then for a person to judge.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use similar::{ChangeTag, TextDiff};

/// The options of the builds of the filter.
const BUILDS: [&[&str]; 2] = [&[], &["--module"]];

/// A configuration of the corpus.
struct Case {
    folder: PathBuf,
    bootstrap: PathBuf,
    text: String,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("can be listed");
    let mut paths: Vec<PathBuf> = entries
        .map(|it| it.expect("can be listed").path())
        .collect();
    paths.sort();
    paths
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for folder in sorted(&corpus()) {
        for name in ["envoy.yaml", "envoy.json"] {
            let bootstrap = folder.join(name);
            if let Ok(text) = fs::read_to_string(&bootstrap) {
                let folder = folder.clone();
                cases.push(Case {
                    folder,
                    bootstrap,
                    text,
                });
            }
        }
    }
    assert!(cases.len() >= 24, "only {} cases", cases.len());
    cases
}

fn policies() -> Vec<PathBuf> {
    let policies = sorted(&corpus().join("policies"));
    assert!(policies.len() >= 4, "only {} policies", policies.len());
    policies
}

/// What applying a policy, or none, makes of a configuration, with these options.
fn apply(bootstrap: &Path, policy: Option<&Path>, options: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_btp"));
    command.args(["apply", "--bootstrap"]).arg(bootstrap);
    command.args(options);
    if let Some(policy) = policy {
        command.arg("-f").arg(policy);
    }
    let output = command.output().expect("btp runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", bootstrap.display());
    String::from_utf8(output.stdout).expect("prints UTF-8")
}

/// The configuration with a policy applied, in a file of the same name, for
/// one test alone: they run at the same time.
fn applied(test: &str, case: &Case, policy: &Path, options: &[&str]) -> PathBuf {
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_owned();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(test)
        .join(name(&case.folder))
        .join(name(policy));
    fs::create_dir_all(&folder).expect("can be made");
    let file = folder.join(case.bootstrap.file_name().unwrap_or_default());
    fs::write(&file, apply(&case.bootstrap, Some(policy), options)).expect("can be written");
    file
}

/// The lines of one text that are not in another at their place.
fn lines_gone(old: &str, new: &str) -> Vec<String> {
    TextDiff::from_lines(old, new)
        .iter_all_changes()
        .filter(|it| it.tag() == ChangeTag::Delete)
        .map(|it| it.value().to_owned())
        .collect()
}

#[test]
fn only_lines_with_a_change_are_touched() {
    let mut wrong = Vec::new();
    for case in cases() {
        let mut found = String::new();
        for policy in policies() {
            let file = applied("touched", &case, &policy, &[]);
            let text = fs::read_to_string(file).expect("was written");
            let name = policy.file_name().unwrap_or_default().display();
            let _ = writeln!(found, "# {name}");
            for line in lines_gone(&case.text, &text) {
                // As it is, line end and all, and visibly so.
                let _ = writeln!(found, "{line:?}");
            }
        }
        let file = case.folder.join("touched.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &found).expect("can be written");
        }
        if found != fs::read_to_string(&file).unwrap_or_default() {
            wrong.push(format!("{}\n{found}", case.folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn nothing_to_apply_changes_nothing() {
    for case in cases() {
        for options in BUILDS {
            let text = apply(&case.bootstrap, None, options);
            assert_eq!(text, case.text, "{}", case.folder.display());
        }
    }
}

#[test]
fn applying_nothing_takes_all_back_to_the_last_byte() {
    for case in cases() {
        for policy in policies() {
            for options in BUILDS {
                let back = apply(&applied("back", &case, &policy, options), None, &[]);
                let (folder, policy) = (case.folder.display(), policy.display());
                assert!(
                    back == case.text,
                    "{folder}, {policy}, {options:?}:\n{back}"
                );
            }
        }
    }
}

#[test]
fn what_was_applied_before_leaves_no_trace() {
    let policies = policies();
    for case in cases() {
        for (index, policy) in policies.iter().enumerate() {
            // The other build in its place, and then the same again.
            for [first, second] in [[BUILDS[0], BUILDS[1]], [BUILDS[1], BUILDS[0]]] {
                let file = applied("next", &case, policy, first);
                let other = &policies[(index + 1) % policies.len()];
                for (next, options) in [(policy, second), (other, first)] {
                    assert!(
                        apply(&file, Some(next), options)
                            == apply(&case.bootstrap, Some(next), options),
                        "{}: {} {first:?} and then {} {options:?}",
                        case.folder.display(),
                        policy.display(),
                        next.display()
                    );
                }
            }
        }
    }
}
