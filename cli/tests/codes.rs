//! The page of codes: each code has a section, each section a document, and the command
//! that it names finds the code in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use btp_policy::{Code, PluginConfig};

const PAGE: &str = include_str!("../../docs/reference/codes.md");

/// Codes of which nobody knows a document: what they stand for is looked up all the same.
const UNSHOWN: [Code; 1] = [Code::Undone];

/// A section of the page.
struct Section {
    heading: &'static str,
    text: &'static str,
}

impl Section {
    fn all() -> Vec<Self> {
        let sections = PAGE.split("\n## ").skip(1);
        let section = |text: &'static str| {
            let (heading, text) = text.split_once('\n').unwrap_or((text, ""));
            let end = text.find("\n# ").unwrap_or(text.len());
            let text = &text[..end];
            Self { heading, text }
        };
        sections.map(section).collect()
    }

    fn code(&self) -> Code {
        let (code, _) = self.heading.split_once(' ').unwrap();
        Code::parse(code).unwrap_or_else(|| panic!("{code} is no code"))
    }

    /// Its fences, each with the name of its file.
    fn files(&self) -> Vec<(String, &'static str)> {
        let command = self.command();
        let mut names = Vec::new();
        for name in ["envoy.yaml", "envoy.json", "policy.yaml"] {
            names.extend(command.contains(name).then_some(name));
        }
        let mut files = Vec::new();
        let mut rest = self.text;
        while let Some((before, fence)) = rest.split_once("\n```") {
            let (language, fence) = fence.split_once('\n').unwrap();
            let (content, behind) = fence.split_once("```").unwrap();
            let named = before.trim_end().rsplit_once("and in `");
            let name = match named.and_then(|(_, it)| it.strip_suffix("`:")) {
                Some(name) => name.to_owned(),
                // The policy first.
                None => names.pop().unwrap_or("of the filter").to_owned(),
            };
            assert!(["yaml", "json"].contains(&language), "{language}");
            files.push((name, content));
            rest = behind;
        }
        files
    }

    /// The command that finds the code.
    fn command(&self) -> String {
        let text = self.text.replace('\n', " ");
        let named = text.split_once("` finds it:");
        let named = named.and_then(|(before, _)| Some(before.rsplit_once('`')?.1.to_owned()));
        named.unwrap_or_else(|| "btp lint policy.yaml".to_owned())
    }
}

fn btp(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_btp"));
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

/// An empty folder of this name.
fn folder_of(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("codes")
        .join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn said(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn codes_and_sections_are_the_same() {
    let sections: Vec<String> = Section::all()
        .iter()
        .map(|it| it.heading.to_owned())
        .collect();
    let all = Code::ALL.iter();
    let codes: Vec<String> = all.map(|it| format!("{it} {}", it.title())).collect();
    assert_eq!(sections, codes);
}

#[test]
fn the_document_of_each_section_shows_its_code() {
    let mut wrong = Vec::new();
    for section in Section::all() {
        if let Err(said) = check(&section) {
            wrong.push(format!(
                "{}: {}\n{said}",
                section.heading,
                section.command()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn check(section: &Section) -> Result<(), String> {
    let code = section.code();
    let folder = folder_of(&code.to_string());
    let folder = folder.as_path();
    let files = section.files();
    if section.text.contains("No short document shows it") {
        return match UNSHOWN.contains(&code) {
            true => Ok(()),
            false => Err("has no document".to_owned()),
        };
    }
    if section.text.contains("too long for this page") {
        let text = long(code).ok_or("no document")?;
        return in_filter(&text, code);
    }
    if section.text.contains("The filter finds it") {
        let (_, text) = files.first().ok_or("no document")?;
        return in_filter(text, code);
    }
    for (name, text) in &files {
        fs::write(folder.join(name), text).unwrap();
    }
    fs::write(folder.join("latin1.yaml"), b"kind: caf\xe9\n").unwrap();
    let command = section.command();
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    let said = said(&btp(folder, &arguments));
    match said.contains(&format!("[{code}]")) {
        true => Ok(()),
        false => Err(said),
    }
}

/// Whether the filter finds the code in this configuration.
fn in_filter(text: &str, code: Code) -> Result<(), String> {
    let found: Vec<_> = match PluginConfig::parse(text.as_bytes()) {
        Ok(config) => config.warnings,
        Err(problems) => problems,
    };
    match found.iter().any(|it| it.code == code) {
        true => Ok(()),
        false => Err(format!("{found:?}")),
    }
}

/// A configuration that would be too long for the page.
fn long(code: Code) -> Option<String> {
    let policies = |specs: Vec<String>| {
        let policy = |(index, spec): (usize, String)| {
            let metadata = format!(r#"{{"name":"p{index}","namespace":"n{index}"}}"#);
            let target = r#"{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}"#;
            format!(r#"{{"metadata":{metadata},"spec":{{"targetRefs":[{target}],{spec}}}}}"#)
        };
        specs
            .into_iter()
            .enumerate()
            .map(policy)
            .collect::<Vec<_>>()
            .join(",")
    };
    let fault = |index| {
        let exponential = format!(r#"{{"exponential":{{"mean":"{}ms"}}}}"#, index + 1);
        format!(r#""faultInjection":{{"delay":{{"distribution":{exponential}}}}}"#)
    };
    let condition = |index| {
        let regex =
            format!(r#"{{"name":"x","type":"RegularExpression","value":"a{index}[a-z]+"}}"#);
        format!(r#"{{"headers":[{regex}]}}"#)
    };
    let rule = |matches: &str, body: &str| {
        let response = format!(r#"{{"body":{{"inline":"{body}"}}}}"#);
        format!(r#"{{"match":{{{matches}}},"response":{response}}}"#)
    };
    let overrides = |rules: Vec<String>| format!(r#""responseOverride":[{}]"#, rules.join(","));
    let limited = |rules: Vec<String>| {
        format!(
            r#""rateLimit":{{"local":{{"rules":[{}]}}}}"#,
            rules.join(",")
        )
    };
    let (limits, specs) = match code {
        Code::TooMuchMemory => {
            let limits = r#""limits":{"configurationBytes":1048576},"#;
            (limits, (0..1_000).map(fault).collect())
        }
        Code::TooManyDistributions => ("", (0..1_001).map(fault).collect()),
        Code::RegexesTooLarge => {
            let matches = format!(r#""requests":[{}]"#, condition(0));
            let limits = r#""limits":{"regexBytes":16},"#;
            (limits, vec![overrides(vec![rule(&matches, "sorry")])])
        }
        Code::TooManyRegexes => {
            let rule = |index: usize| {
                let selectors: Vec<String> = (0..8).map(condition).collect();
                let selectors = selectors.join(",");
                let limit = r#"{"requests":1,"unit":"Second"}"#;
                format!(
                    r#"{{"name":"r{index}","clientSelectors":[{selectors},{}],"limit":{limit}}}"#,
                    condition(index)
                )
                .replace(&format!(",{}]", condition(index)), "]")
            };
            let limits: Vec<String> = (0..16).map(rule).collect();
            let more = overrides(vec![rule_with(&condition(0))]);
            ("", vec![format!("{},{more}", limited(limits))])
        }
        Code::TooManyOperators => {
            let body = "%PROTOCOL%".repeat(1_025);
            let matches = r#""statusCodes":[{"value":503}]"#;
            ("", vec![overrides(vec![rule(matches, &body)])])
        }
        Code::TooManyRequestRules => {
            let path = r#""requests":[{"path":{"value":"/a"}}]"#;
            ("", vec![overrides(vec![rule(path, "sorry"); 65])])
        }
        _ => return None,
    };
    Some(format!(r#"{{{limits}"policies":[{}]}}"#, policies(specs)))
}

/// An override of what meets a condition.
fn rule_with(condition: &str) -> String {
    format!(
        r#"{{"match":{{"requests":[{condition}]}},"response":{{"body":{{"inline":"sorry"}}}}}}"#
    )
}

#[test]
fn sections_are_explained_and_wrong_codes_are_told() {
    let folder = folder_of("explain");
    for section in Section::all() {
        let code = section.code().to_string();
        let output = btp(&folder, &["explain", &code]);
        assert_eq!(output.status.code(), Some(0), "{code}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.starts_with(&format!("## {}\n", section.heading)),
            "{text}"
        );
        assert!(
            text.contains("**To fix it:**") && !text.contains("\n# "),
            "{text}"
        );
        assert_eq!(text.matches("\n## ").count(), 0, "{text}");
    }
    let output = btp(&folder, &["explain", "BTP0199"]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    assert!(
        text.contains("there is no such code; the nearest is BTP0201"),
        "{text}"
    );
}

#[test]
fn what_is_said_of_a_code_is_said_of_no_other() {
    let mut texts = BTreeSet::new();
    for section in Section::all() {
        let why = section.text.trim().split("\n\n").next().unwrap();
        assert!(why.len() > 40, "{}: {why}", section.heading);
        assert!(texts.insert(why), "{}: {why}", section.heading);
    }
}

/// A policy with an error, a warning, and both.
const WRONG: &str = "spec:\n  retry: {numRetries: 1.5}\n";
const UNWISE: &str = "kind: BackendTrafficPolicy\nmetadata: {name: a}\nspec:\n  targetRefs:\n  \
                      - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: a}\n  \
                      retry: {numRetries: 10}\n";

#[test]
fn warnings_are_weighed_by_their_codes() {
    let folder = folder_of("levels");
    fs::write(folder.join("unwise.yaml"), UNWISE).unwrap();
    fs::write(folder.join("wrong.yaml"), WRONG).unwrap();
    for (arguments, code, expected) in [
        ("lint unwise.yaml", 0, Some("warning[BTP0519]")),
        (
            "lint --deny warnings unwise.yaml",
            1,
            Some("error[BTP0519]"),
        ),
        (
            "lint --deny BTP0511,BTP0519 unwise.yaml",
            1,
            Some("error[BTP0519]"),
        ),
        (
            "lint --deny BTP0511 unwise.yaml",
            0,
            Some("warning[BTP0519]"),
        ),
        ("lint --allow BTP0519 unwise.yaml", 0, None),
        ("lint --allow BTP0519 --deny warnings unwise.yaml", 0, None),
        (
            "lint --allow BTP0106 wrong.yaml",
            2,
            Some("only warnings can be allowed"),
        ),
        (
            "lint --allow BTP9999 unwise.yaml",
            2,
            Some("there is no such code"),
        ),
        (
            "lint --deny all unwise.yaml",
            2,
            Some("a code is BTP and four digits"),
        ),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = btp(&folder, &arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        match expected {
            Some(text) => assert!(said.contains(text), "{arguments:?}: {said}"),
            None => assert!(!said.contains("BTP"), "{arguments:?}: {said}"),
        }
    }
}

#[test]
fn json_is_as_its_schema_says() {
    const REFERENCE: &str = include_str!("../../docs/reference/command-line.md");
    let mut fences = REFERENCE.split("```json\n");
    let schema = fences
        .find(|it| it.contains("\"Findings of btp lint\""))
        .unwrap();
    let (schema, _) = schema.split_once("```").unwrap();
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let folder = folder_of("json");
    fs::write(folder.join("unwise.yaml"), UNWISE).unwrap();
    fs::write(folder.join("wrong.yaml"), WRONG).unwrap();
    fs::write(folder.join("broken.yaml"), "a: [").unwrap();
    fs::write(folder.join("none.yaml"), "").unwrap();
    for file in ["unwise.yaml", "wrong.yaml", "broken.yaml", "none.yaml"] {
        let output = btp(&folder, &["lint", "--format", "json", file]);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(schema.is_valid(&found), "{found:#}");
        assert_ne!(found, serde_json::json!([]), "{file}");
    }
    let output = btp(&folder, &["lint", "--format", "json", "unwise.yaml"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let place = ["line", "column", "endLine", "endColumn"].map(|it| found[0][it].clone());
    assert_eq!(
        place,
        [6, 23, 6, 25].map(serde_json::Value::from),
        "{found:#}"
    );
}

#[test]
fn sarif_has_a_rule_with_help_for_each_code() {
    let folder = folder_of("sarif");
    fs::write(folder.join("unwise.yaml"), UNWISE).unwrap();
    let output = btp(&folder, &["lint", "--format", "sarif", "unwise.yaml"]);
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &log["runs"][0];
    assert_eq!(log["version"], "2.1.0");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(
            rule["help"]["text"]
                .as_str()
                .unwrap()
                .contains("**To fix it:**")
        );
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "unwise.yaml");
        assert_eq!(place["region"]["startLine"], 6);
    }
    assert_eq!(run["results"][0]["ruleId"], "BTP0519");
    assert_eq!(run["results"][0]["level"], "warning");
}
