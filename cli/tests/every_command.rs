//! Every field of the table goes through every command: what lint accepts apply accepts,
//! explain names the enforcer that the table has, and what nobody enforces is not said to
//! be Envoy's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use btp_policy::schema::Field;
use btp_policy::spec::{Owner, SPEC, owner_at};
use btp_policy::yaml;
use serde_json::{Value, json};

/// Fields that lint accepts and apply refuses of this bootstrap or of any, and why.
const REFUSED_BY_APPLY: &[(&str, &str)] = &[
    ("telemetry", "nobody translates it"),
    ("admissionControl", "nobody translates it"),
    ("bandwidthLimit", "nobody translates it"),
];

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
        Owner::Nobody(_) => "nobody",
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
        let refused = REFUSED_BY_APPLY.iter().find(|(other, _)| *other == name);
        assert_eq!(is_fine, refused.is_none(), "{name}: apply: {text}");
        assert_eq!(
            matches!(owner, Owner::Nobody(_)),
            refused.is_some(),
            "{name}"
        );

        let (text, is_fine) = stage.run(&["explain", "policy.yaml"]);
        assert!(is_fine, "{name}: explain: {text}");
        for (path, enforcer) in rows(&text, name) {
            let wanted = owner_at(&path).expect("is in the table");
            assert_eq!(enforcer, word(wanted), "{name}: {path:?} in {text}");
            seen += 1;
        }

        let bootstrap = ["explain", "policy.yaml", "--bootstrap", "bootstrap.yaml"];
        let (text, is_fine) = stage.run(&bootstrap);
        assert_eq!(is_fine, refused.is_none(), "{name}: explain: {text}");
        let is_of = |who: &str| text.lines().any(|line| line.contains(&format!("{who}: ")));
        match owner {
            Owner::Filter(_) if name != "retry" => {
                assert!(is_of(" filter") && !is_of(" Envoy"), "{name}: {text}");
            }
            Owner::Envoy => assert!(!is_of(" filter"), "{name}: {text}"),
            Owner::Nobody(_) => assert!(!is_of(" Envoy"), "{name}: {text}"),
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
