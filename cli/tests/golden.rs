//! `btp` as people run it: what it prints and how it ends, case by case.
//!
//! Each folder under `golden/` holds the arguments and the files of one run
//! beside what it must print. `UPDATE_GOLDEN=1 cargo test -p btp` writes the
//! latter anew; the difference is then for a person to judge.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn btp(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_btp"))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("btp runs")
}

/// What a run printed and how it ended, as one text.
fn transcript(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("prints UTF-8");
    format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().expect("ends by itself"),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn every_case_prints_what_is_written_down() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(golden()).expect("the cases are there") {
        let case = entry.expect("can be listed").path();
        let arguments = fs::read_to_string(case.join("args")).expect("a case has args");
        let found = transcript(&btp(&case, &arguments));
        let file = case.join("output.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &found).expect("can be written");
        }
        let wanted = fs::read_to_string(&file).unwrap_or_default();
        if found != wanted {
            wrong.push(format!("{}\n{found}", case.display()));
        }
        cases += 1;
    }
    assert!(cases >= 10, "only {cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_plugin_config_prints_the_filter_takes() {
    for case in ["plugin-config", "plugin-config-instance"] {
        let case = golden().join(case);
        let arguments = fs::read_to_string(case.join("args")).expect("a case has args");
        let output = btp(&case, &arguments);
        let config = btp_policy::PluginConfig::parse(&output.stdout);
        assert_eq!(config.expect("is accepted").policies.len(), 1);
    }
}

/// What a run printed as its result; `None` if it refused.
fn result(directory: &Path, arguments: &str) -> Option<String> {
    let output = btp(directory, arguments);
    let text = String::from_utf8(output.stdout).expect("prints UTF-8");
    output.status.success().then_some(text)
}

#[test]
fn applying_again_changes_nothing_and_applying_nothing_takes_all_back() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apply");
    fs::create_dir_all(&folder).expect("can be made");
    let mut cases = 0;
    for entry in fs::read_dir(golden()).expect("the cases are there") {
        let case = entry.expect("can be listed").path();
        let arguments = fs::read_to_string(case.join("args")).expect("a case has args");
        let mut without_result = ["--diff", "--dry-run"].into_iter();
        if !arguments.starts_with("apply ") || without_result.any(|it| arguments.contains(it)) {
            continue;
        }
        let Some(once) = result(&case, &arguments) else {
            continue;
        };
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let bootstrap = words[2];
        let written = folder.join(bootstrap).display().to_string();
        fs::write(&written, &once).expect("can be written");
        let again = arguments.replace(bootstrap, &written);
        assert_eq!(result(&case, &again), Some(once), "{}", case.display());

        // Without policies, what is left is what was there, said in the
        // same words.
        let original = result(&case, &format!("apply --bootstrap {bootstrap}"));
        let back = result(&case, &format!("apply --bootstrap {written}"));
        let read = |text: Option<String>| {
            let text = text.expect("nothing is refused");
            let node = btp_policy::yaml::parse(&text).expect("is YAML").remove(0);
            serde_json::to_string(&node).expect("is a tree")
        };
        assert_eq!(read(back), read(original), "{}", case.display());
        cases += 1;
    }
    assert!(cases >= 4, "only {cases} cases");
}

#[test]
fn wrong_usage_is_told_apart() {
    let code = |arguments| btp(&golden(), arguments).status.code();
    assert_eq!(code("lint nowhere.yaml"), Some(2));
    assert_eq!(code("lint"), Some(2));
    assert_eq!(code("lnit explain"), Some(2));
    assert_eq!(code("--help"), Some(0));
    assert_eq!(code("lint ."), Some(1));
    assert_eq!(code("explain explain --listener web"), Some(2));
}
