//! Every field of the table goes through every command: what lint accepts apply accepts,
//! explain names the enforcer that the table has, and what nobody enforces is not said to
//! be Envoy's.

mod fields_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use btp_policy::schema::Field;
use btp_policy::spec::{Owner, SPEC, owner_at};
use btp_policy::yaml;
use serde_json::{Value, json};

struct Stage {
    folder: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("every-command");
        fs::create_dir_all(&folder).expect("can be made");
        let bootstrap = include_str!("fields_support/bootstrap.yaml");
        fs::write(folder.join("bootstrap.yaml"), bootstrap).expect("can be written");
        Self { folder }
    }

    fn btp(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_btp"))
            .current_dir(&self.folder)
            .args(arguments)
            .output()
            .expect("btp runs")
    }

    /// Applies a spec that lint accepts; what is wrong with what is said of this field, or
    /// nothing.
    fn went(&self, name: &str, spec: &Value) -> String {
        let document = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "BackendTrafficPolicy",
            "metadata": { "name": "p" },
            "spec": spec,
        });
        let maps = ["a", "m"].map(|name| {
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": name },
                "data": { "response.body": "x" },
            })
        });
        let documents = [document].into_iter().chain(maps);
        let text: Vec<String> = documents.map(|it| it.to_string()).collect();
        fs::write(self.folder.join("deep.yaml"), text.join("\n---\n")).expect("written");
        let report = self.btp(&[
            "apply",
            "-f",
            "deep.yaml",
            "--bootstrap",
            "bootstrap.yaml",
            "--dry-run",
            "--format",
            "json",
            "--rate-limit-service",
            "127.0.0.1:8081",
            "--rate-limit-config",
            "limits.yaml",
        ]);
        let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
        let errors = report["findings"].as_array().expect("a list").iter();
        let errors: Vec<String> = errors
            .filter(|it| it["severity"] == "error")
            .map(|it| format!("{} {}: {}", it["code"], it["path"], it["reason"]))
            .collect();
        if !errors.is_empty() {
            return errors.join(", ");
        }
        let specs = report["inForce"].as_array().expect("a list").iter();
        let mut fields = specs.flat_map(|it| it["fields"].as_array().expect("a list"));
        let is_there = fields.any(|it| {
            let field = it["field"].as_str().expect("text");
            let destinations = it["destinations"].as_array().expect("a list");
            let begins = field.split(['.', '[', ' ']).next() == Some(name);
            begins && destinations.iter().any(|it| it["by"] != "Nobody")
        });
        match is_there {
            true => String::new(),
            false => format!("in force nowhere: {}", report["inForce"]),
        }
    }

    /// What it prints, on both streams, and whether nothing was refused.
    fn run(&self, arguments: &[&str]) -> (String, bool) {
        let output = self.btp(arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("is text");
        (text, output.status.success())
    }
}

/// A policy with the field's example.
fn policy(field: &Field) -> Value {
    let example = field.example.expect(field.name);
    let mut documents = yaml::parse(example).expect(field.name);
    let value = serde_json::to_value(documents.remove(0)).expect("any node is JSON");
    let mut spec = json!({ field.name: value });
    if field.name == "mergeType" {
        let target = json!({
            "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "orders",
        });
        spec["targetRefs"] = json!([target]);
    }
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": { "name": "p" },
        "spec": spec,
    })
}

/// The word of explain's second column.
fn word(owner: Owner) -> &'static str {
    match owner {
        Owner::Filter(_) => "filter",
        Owner::Envoy => "Envoy",
        Owner::Attachment => panic!("is not listed"),
    }
}

/// Rows of explain about a field: its path without places in lists, and its enforcer.
fn rows<'a>(text: &'a str, field: &'a str) -> impl Iterator<Item = (Vec<&'a str>, &'a str)> {
    text.lines().filter_map(move |line| {
        let mut words = line.strip_prefix("  ")?.split_whitespace();
        let path = words.next()?;
        let steps: Vec<&str> = path
            .split('.')
            .map(|step| step.split('[').next().unwrap_or(step))
            .collect();
        (steps.first() == Some(&field)).then_some((steps, words.next()?))
    })
}

#[test]
fn every_field_goes_through_every_command() {
    let stage = Stage::new();
    let mut seen = 0;
    for field in SPEC.fields {
        let name = field.name;
        let owner = field.owner.expect(name);
        fs::write(stage.folder.join("policy.yaml"), policy(field).to_string()).expect("written");

        let (text, is_fine) = stage.run(&["lint", "policy.yaml"]);
        assert!(is_fine, "{name}: lint: {text}");

        let apply = [
            "apply",
            "-f",
            "policy.yaml",
            "--bootstrap",
            "bootstrap.yaml",
        ];
        let (text, is_fine) = stage.run(&[&apply[..], &["-o", "out.yaml"]].concat());
        assert!(is_fine, "{name}: apply: {text}");

        let (text, is_fine) = stage.run(&["explain", "policy.yaml"]);
        assert!(is_fine, "{name}: explain: {text}");
        for (path, enforcer) in rows(&text, name) {
            let wanted = owner_at(&path).expect("is in the table");
            assert_eq!(enforcer, word(wanted), "{name}: {path:?} in {text}");
            seen += 1;
        }

        let bootstrap = ["explain", "policy.yaml", "--bootstrap", "bootstrap.yaml"];
        let (text, is_fine) = stage.run(&bootstrap);
        assert!(is_fine, "{name}: explain: {text}");
        let is_of = |who: &str| text.lines().any(|line| line.contains(&format!("{who}: ")));
        match owner {
            Owner::Filter(_) if name != "retry" => {
                assert!(is_of(" filter") && !is_of(" Envoy"), "{name}: {text}");
            }
            Owner::Envoy => assert!(!is_of(" filter"), "{name}: {text}"),
            _ => {}
        }

        let held = "--allow-on-headers-stop-iteration";
        let config = ["plugin-config", "-f", "policy.yaml", held];
        let (text, is_fine) = stage.run(&config);
        assert_eq!(is_fine, !owner.is_native(), "{name}: plugin-config: {text}");
        let rest = ["--native-fields", "ignore"];
        let (text, is_fine) = stage.run(&[&config[..], &rest].concat());
        assert!(is_fine, "{name}: plugin-config: {text}");

        let (text, is_fine) = stage.run(&["fields", name]);
        assert!(is_fine && text.contains(field.description.split(' ').next().unwrap_or("?")));
    }
    assert!(seen >= 30, "{seen}");
}

/// Fields below `spec`, without a value that apply accepts of this bootstrap, and why.
const REFUSED_IN_DEPTH: &[(&str, &str)] = &[
    (".onMissing", "its documents have no type Distinct"),
    (
        ".sourceCIDR.prefixLength",
        "its documents have no type Distinct",
    ),
    (
        "compressor[].minContentLength",
        "needs the settings of its type beside it",
    ),
    (
        "compressor[].type",
        "needs the settings of its type beside it",
    ),
    (
        "faultInjection.attempts[]",
        "needs position: Upstream beside it",
    ),
    ("faultInjection.schedule.", "its values are no times"),
    (
        "healthCheck.active.healthCheckLog.matches[]",
        "takes both kinds or none",
    ),
    (
        "rateLimit.global.rules[].clientSelectors[].metadata",
        "is the filter's",
    ),
    (
        "rateLimit.type",
        "has no effect beside the limits themselves",
    ),
    (
        "routingType",
        "the configuration says which addresses a cluster has",
    ),
    (
        "requestBuffer.maxTotal",
        "the least value is below the largest body",
    ),
    (
        "requestBuffer.rules[].limit",
        "its smallest document has no condition",
    ),
    (
        "responseOverride[].response.header.remove[]",
        "is for keepHeaders and keepBody",
    ),
    (
        "retryConstraint.budget.interval",
        "the values are below a second",
    ),
    (
        "retryConstraint.minRetryRate.interval",
        "the values are below a second",
    ),
];

#[test]
fn apply_says_where_each_field_went_that_lint_accepts() {
    let stage = Stage::new();
    let mut by_path: BTreeMap<String, Vec<(Value, Value)>> = BTreeMap::new();
    for case in fields_support::cases()
        .into_iter()
        .filter(|it| it.is_inside)
    {
        let values = by_path.entry(case.path).or_default();
        values.push((case.value, case.spec));
    }
    let mut wrong = Vec::new();
    for (path, specs) in &by_path {
        let name = path.split(['.', '[']).next().unwrap_or(path);
        let owner = SPEC.field(name).and_then(|it| it.owner).expect(path);
        if owner == Owner::Attachment {
            continue;
        }
        let means = |it: &str| path.starts_with(it) || (it.starts_with('.') && path.ends_with(it));
        let is_refused = REFUSED_IN_DEPTH.iter().any(|(it, _)| means(it));
        let said = |(value, spec): &(Value, Value)| (value.clone(), stage.went(name, spec));
        let said: Vec<(Value, String)> = specs.iter().map(said).collect();
        let is_fine = said.iter().any(|(_, wrong)| wrong.is_empty());
        if is_fine == is_refused {
            wrong.push(format!("{path}: {said:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        by_path.len(),
        wrong.join("\n")
    );
}

#[test]
fn an_unknown_field_is_wrong_usage_with_the_nearest_name() {
    let stage = Stage::new();
    let output = stage.btp(&["fields", "spec.rateLimit.locale"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).expect("is text");
    assert_eq!(
        text,
        "error: spec.rateLimit has no field \"locale\"; did you mean spec.rateLimit.local?\n"
    );
    for path in [
        "rateLimit.local.rules[].limit",
        "rateLimit.local.rules.limit",
    ] {
        let (text, is_fine) = stage.run(&["fields", path]);
        assert!(is_fine, "{text}");
        assert!(
            text.contains("spec.rateLimit.local.rules[].limit\n"),
            "{text}"
        );
    }
    let (text, _) = stage.run(&["fields", "config.limits.routes"]);
    assert!(
        text.contains("1 to 1000000") && text.contains("10000"),
        "{text}"
    );
}
