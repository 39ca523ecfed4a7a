//! `--format json` of `apply` and `explain`: one object on stdout, as the page says.

mod run;

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use run::btp;
use serde_json::Value;

const APPLY: &str = "Report of btp apply";
const EXPLAIN: &str = "Answer of btp explain";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The schema on the page that has this title.
fn schema(title: &str) -> Validator {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/command-line.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let mut blocks = page.split("```json\n").skip(1);
    let schema = blocks.find_map(|it| {
        let (text, _) = it.split_once("```").expect("ends");
        let schema: Value = serde_json::from_str(text).expect("is JSON");
        (schema["title"] == title).then_some(schema)
    });
    let schema = schema.expect("is on the page");
    jsonschema::draft202012::meta::validate(&schema).expect("is a schema");
    jsonschema::validator_for(&schema).expect("is a schema")
}

/// What a run printed, if the schema allows it.
fn report(folder: &Path, arguments: &str, schema: &Validator) -> (i32, Value) {
    let (code, printed, said) = btp(folder, arguments);
    let report: Value = serde_json::from_str(&printed).expect(&said);
    let wrong = schema.iter_errors(&report).next();
    assert!(wrong.is_none(), "{arguments}: {wrong:?}\n{report:#}");
    assert_eq!(said.lines().count(), 1, "the summary alone: {said}");
    (code, report)
}

/// Every case of the command, in the other format.
#[test]
fn every_report_is_as_the_schema_says() {
    let (mut applied, mut explained) = (0, 0);
    let (of_apply, of_explain) = (schema(APPLY), schema(EXPLAIN));
    for entry in fs::read_dir(golden()).expect("the cases are there") {
        let case = entry.expect("can be listed").path();
        let arguments = fs::read_to_string(case.join("args")).expect("a case has args");
        let arguments = arguments.replace("--format json", "");
        let wanted = fs::read_to_string(case.join("output.txt")).expect("is there");
        let code = |text: &str| text.starts_with("exit code 0") || text.starts_with("exit code 1");
        let is_plain = code(&wanted) && !arguments.contains("--diff");
        if !is_plain || wanted.contains("error: no such route") {
            continue;
        }
        let wanted = i32::from(wanted.starts_with("exit code 1"));
        if arguments.starts_with("apply ") {
            let dry = if arguments.contains("--dry-run") {
                ""
            } else {
                "--dry-run"
            };
            let arguments = format!("{} {dry} --format json", arguments.trim());
            let (code, report) = report(&case, &arguments, &of_apply);
            assert_eq!(code, wanted, "{}", case.display());
            let outcome = ["DryRun", "Refused"][usize::from(code == 1)];
            assert_eq!(report["outcome"], outcome, "{}", case.display());
            applied += 1;
        } else if arguments.starts_with("explain ") {
            let arguments = format!("{} --format json", arguments.trim());
            let (code, report) = report(&case, &arguments, &of_explain);
            assert_eq!(code, wanted, "{}", case.display());
            assert_eq!(
                report["places"] == Value::Array(Vec::new()),
                code == 1,
                "{report:#}"
            );
            explained += 1;
        }
    }
    assert!(
        applied >= 30 && explained >= 12,
        "{applied} and {explained}"
    );
}

#[test]
fn a_report_has_what_people_are_told() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("live")).expect("can be made");
    for file in ["envoy.yaml", "policy.yaml"] {
        fs::copy(golden().join("apply").join(file), folder.join(file)).expect("can be copied");
    }
    let options = "apply --bootstrap envoy.yaml -f policy.yaml --format json";
    let schema = schema(APPLY);
    let (code, written) = report(&folder, &format!("{options} -o out.yaml"), &schema);
    assert_eq!((code, &written["outcome"]), (0, &Value::from("Written")));
    assert_eq!(written["summary"]["policies"], 3);
    assert_eq!(written["phases"], serde_json::json!([["out.yaml"]]));
    assert!(folder.join("out.yaml").is_file());
    let (_, text, _) = btp(
        &folder,
        "apply --bootstrap envoy.yaml -f policy.yaml --dry-run",
    );
    for it in written["inForce"].as_array().expect("is a list") {
        for field in it["fields"].as_array().expect("is a list") {
            let name = field["field"].as_str().expect("is a text");
            assert!(text.contains(name), "{name}: {text}");
        }
        for replaced in it["replaced"].as_array().expect("is a list") {
            assert!(
                text.contains(replaced.as_str().expect("is a text")),
                "{text}"
            );
        }
    }
    let (_, delivered) = report(&folder, &format!("{options} --out-dir live"), &schema);
    assert_eq!(delivered["phases"][0][0], "envoy.yaml");

    // The configuration and the report have no place in one stream.
    for wrong in [
        options.to_owned(),
        format!("{options} -o -"),
        format!("{options} --diff"),
    ] {
        let (code, printed, _) = btp(&folder, &wrong);
        assert_eq!((code, printed.as_str()), (2, ""), "{wrong}");
    }
}
