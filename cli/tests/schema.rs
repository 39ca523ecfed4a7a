//! The JSON Schema says the same as the readers, as far as a schema can.

use std::process::Command;

use btp_policy::Regexes;
use btp_policy::json;
use btp_policy::node::Node;
use btp_policy::policy::Policy;
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::spec::check_crd;
use jsonschema::Validator;
use serde_json::{Value, json};

fn validator() -> Validator {
    let output = Command::new(env!("CARGO_BIN_EXE_btp"))
        .arg("schema")
        .output()
        .expect("btp runs");
    let schema: Value = serde_json::from_slice(&output.stdout).expect("prints JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("is a schema");
    jsonschema::validator_for(&schema).expect("is a schema")
}

fn config(spec: &Value) -> Value {
    json!({ "policies": [{ "metadata": { "name": "p" }, "spec": spec }] })
}

/// Whether the table refuses the spec for a single value, which a schema
/// can say too, and not for a rule over several.
fn is_refused_for_a_value(spec: &Value) -> bool {
    let node: Node = json::parse(spec.to_string().as_bytes()).expect("is JSON");
    let mut problems = Problems::default();
    check_crd(Cursor::root(&node), &mut problems);
    let found = problems.into_vec();
    found.iter().any(|problem| {
        let is_unique = problem.reason.contains("is listed twice");
        problem.value.is_some() && !is_unique || problem.reason == "is required"
    })
}

/// Whether the readers have nothing against it.
fn is_read(spec: &Value) -> bool {
    let policy = json!({ "metadata": { "name": "p" }, "spec": spec });
    let node: Node = json::parse(policy.to_string().as_bytes()).expect("is JSON");
    let mut problems = Problems::default();
    Policy::read(Cursor::root(&node), &Regexes::default(), &mut problems);
    problems.is_empty()
}

#[test]
fn the_conformance_cases_are_decided_as_far_as_a_schema_can() {
    let validator = validator();
    let text = include_str!("../../filter/policy/testdata/crd-verdicts.json");
    let cases: Vec<Value> = serde_json::from_str(text).expect("is JSON");
    let mut refused = 0;
    for case in &cases {
        let spec = &case["spec"];
        let valid = validator.is_valid(&config(spec));
        if case["accept"] == true {
            // Statuses that no response can have are refused here alone.
            assert!(valid || !is_read(spec), "{}", case["name"]);
        } else if is_refused_for_a_value(spec) {
            assert!(!valid, "{}", case["name"]);
            refused += 1;
        }
    }
    assert!(refused >= 20, "only {refused} cases");
}

/// Every extension of responseOverride is in this table.
#[test]
fn overrides_in_full() {
    let text = include_str!("../../tests/scenarios/override.json");
    let table: Value = serde_json::from_str(text).expect("is JSON");
    let validator = validator();
    let wrong = validator.iter_errors(&table["config"]).next();
    assert!(wrong.is_none(), "{wrong:?}");
    let over = |response: Value| {
        config(&json!({ "responseOverride": [{
            "match": { "statusCodes": [{ "value": 500 }] }, "response": response }] }))
    };
    assert!(validator.is_valid(&over(json!({ "keepBody": true }))));
    for response in [
        json!({ "keepBody": "yes" }),
        json!({ "variants": [] }),
        json!({ "body": { "inline": "x", "format": "Raw" } }),
        json!({ "grpcStatus": 17 }),
    ] {
        assert!(!validator.is_valid(&over(response)));
    }
}

#[test]
fn whole_configurations() {
    let validator = validator();
    let spec = json!({ "faultInjection": { "abort": { "httpStatus": 503 } } });
    let mut whole = config(&spec);
    assert!(validator.is_valid(&whole));
    whole["gateway"] = json!({ "name": "eg", "listener": "web", "labels": { "a": "b" } });
    whole["configMaps"] = json!([{ "metadata": { "name": "m" }, "data": { "a": "b" } }]);
    whole["namespaces"] = json!([{ "name": "tenant", "disabled": true }]);
    whole["enforce"] = json!(["faultInjection"]);
    whole["nativeFields"] = json!("Ignore");
    whole["limits"] = json!({ "routes": 5, "requestValueBytes": 0, "distinctKeys": 64 });
    assert!(validator.is_valid(&whole));
    for wrong in [
        json!({}),
        json!({ "policies": {} }),
        json!({ "policies": [], "polices": [] }),
        json!({ "policies": [{ "spec": {} }] }),
        json!({ "policies": [], "enforce": ["faults"] }),
        json!({ "policies": [], "limits": { "distinctKeys": 63 } }),
        json!({ "policies": [], "limits": { "requestValueBytes": 65_537 } }),
        config(&json!({ "faultInjections": {} })),
        config(&json!({ "faultInjection": { "delay": { "fixedDelay": 5 } } })),
        config(&json!({ "requestBuffer": { "limit": "1m" } })),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}
