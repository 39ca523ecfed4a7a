//! Every field of the tables, with values inside of its bounds and outside: the
//! readers, both JSON Schemas and `btp lint` must say the same of each.

mod fields_support;

use std::fs;
use std::process::Command;

use btp_policy::Regexes;
use btp_policy::json;
use btp_policy::path::Path;
use btp_policy::policy::{self, Policy};
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::spec::check_native;
use fields_support::{Case, cases};
use jsonschema::Validator;
use serde_json::{Value, json};

/// What a schema cannot say: a part of a path, and why. Of these the readers refuse
/// more than the schemas.
const RULES: &[(&str, &str)] = &[
    (
        "matchExpressions[].operator",
        "values for In and NotIn alone",
    ),
    ("match.statusCodes[].type", "value or range"),
    ("match.statusCodes[].range", "an end above the start"),
    (".body.type", "inline or valueRef"),
    (
        "headers[].type",
        "Distinct in rate limits alone, without a value",
    ),
    (
        "queryParams[].type",
        "Distinct in rate limits alone, without a value",
    ),
    (
        "metadata[].type",
        "Distinct in rate limits alone, without a value",
    ),
    ("sourceCIDR.type", "Distinct in rate limits alone"),
    (
        "sourceCIDR.prefixLength",
        "for Distinct alone, within the range",
    ),
    (".onMissing", "for Distinct alone"),
    (
        "global.rules[].clientSelectors[].metadata",
        "is the filter's",
    ),
    ("global.rules[].cost.request.from", "number or metadata"),
    ("global.rules[].cost.response.from", "number or metadata"),
    ("local.rules[].cost.request.number", "not above burst"),
    ("local.rules[].limit.burst", "refill within 100 years"),
    (
        "response.header.remove",
        "beside keepHeaders or keepBody alone",
    ),
    ("faultInjection.abort.reset", "true, or a status"),
    ("faultInjection.sampling.key", "a name for key Header"),
    (
        "responseOverride[].redirect.keepStatus",
        "without mode Client",
    ),
    ("faultInjection.attempts", "with position Upstream alone"),
    (
        "faultInjection.delay.distribution",
        "orders, and at most 1h",
    ),
    ("faultInjection.headerControl.delay.max", "at most 1h"),
    ("faultInjection.schedule", "RFC 3339, and an order"),
    ("local.rules[].queue.maxDelay", "at most 1h"),
    ("retryConstraint.budget.interval", "1s to 1h"),
    ("retryConstraint.minRetryRate.interval", "1s to 1h"),
    (
        "requestBuffer",
        "ranges of quantities, and what a mode allows",
    ),
    ("numerator", "not above the denominator"),
    ("customTags{}.type", "the object of that type"),
    ("sessionPersistence.type", "the object of that type"),
    ("sessionPersistence.absoluteTimeout", "whole seconds"),
    (
        "sessionPersistence.cookie.lifetimeType",
        "with absoluteTimeout",
    ),
    ("healthCheck.active.type", "the object of that type"),
    (".expectedResponse.type", "text or binary"),
    (".requestBody.type", "text or binary"),
    (".send.type", "text or binary"),
    (".receive.type", "text or binary"),
    ("healthCheckLog.matches", "failures and successes together"),
    ("loadBalancer.type", "the object of that type"),
    ("loadBalancer.consistentHash.type", "the field of that type"),
    ("loadBalancer.consistentHash.tableSize", "a prime"),
    ("outOfBand.reportingPeriod", "more than zero"),
    ("admissionControl.samplingWindow", "at least 1s"),
    ("tcpKeepalive", "whole seconds"),
    ("http2", "ranges of quantities, and pings as a whole"),
    ("connection.bufferLimit", "a range of quantities"),
    ("[].minContentLength", "a range of quantities"),
    ("bandwidthLimit", "1 KiB per second at least"),
    ("dns.dnsRefreshRate", "more than 1ms"),
];

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::meta::validate(schema).expect("is a schema");
    jsonschema::validator_for(schema).expect("is a schema")
}

fn document(spec: &Value) -> Value {
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": { "name": "p" },
        "spec": spec,
    })
}

/// What the readers have to say.
fn read(document: &Value) -> Vec<String> {
    let node = json::parse(document.to_string().as_bytes()).expect("is JSON");
    let mut problems = Problems::default();
    Policy::read(Cursor::root(&node), &Regexes::default(), &mut problems);
    let root = Path::Root;
    let at = Cursor {
        node: node.field("spec").expect("has one"),
        path: Path::Field(&root, "spec"),
    };
    check_native(at, &mut problems);
    problems
        .into_vec()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Which documents lint refuses, by their place in the list.
fn linted(documents: &[Value]) -> Vec<bool> {
    let folder = std::env::temp_dir().join(format!("btp-fields-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let path = |index: usize| folder.join(format!("{index}.yaml"));
    for (index, document) in documents.iter().enumerate() {
        fs::write(path(index), document.to_string()).expect("written");
    }
    let mut refused = vec![false; documents.len()];
    // Each of these says of one policy that it is there already.
    let indices: Vec<usize> = (0..documents.len()).collect();
    for part in indices.chunks(200) {
        let output = Command::new(env!("CARGO_BIN_EXE_btp"))
            .args(["lint", "--format", "json"])
            .args(part.iter().map(|index| path(*index)))
            .output()
            .expect("btp runs");
        let findings: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let list = findings
            .as_array()
            .or_else(|| findings["findings"].as_array());
        for finding in list.expect("a list of findings") {
            if finding["severity"] != "error" && finding["level"] != "error" {
                continue;
            }
            let file = finding["file"].as_str().expect("a file");
            let name = std::path::Path::new(file).file_stem().expect("a name");
            let index: usize = name.to_str().expect("text").parse().expect("a number");
            refused[index] = true;
        }
    }
    fs::remove_dir_all(&folder).expect("removed");
    refused
}

#[test]
fn readers_schemas_and_lint_agree_on_every_field() {
    let plugin = validator(&btp_policy::config::json_schema());
    let editor = validator(&policy::json_schema());
    let cases = cases();
    assert!(cases.len() > 1_500, "{}", cases.len());
    let mut documents: Vec<Value> = cases.iter().map(|case| document(&case.spec)).collect();
    for (index, document) in documents.iter_mut().enumerate() {
        document["metadata"]["name"] = format!("p{index}").into();
    }
    let refused = linted(&documents);
    let mut wrong = Vec::new();
    for ((case, document), lint_refuses) in cases.iter().zip(&documents).zip(refused) {
        let Case { path, value, .. } = case;
        let found = read(document);
        let reader = found.is_empty();
        let schemas = [
            plugin.is_valid(&json!({ "policies": [document] })),
            editor.is_valid(document),
        ];
        let shown = format!("{path} = {}", short(value));
        if schemas[0] != schemas[1] {
            wrong.push(format!("{shown}: the two schemas differ"));
        }
        if lint_refuses == reader {
            wrong.push(format!("{shown}: lint differs from the readers: {found:?}"));
        }
        let is_rule = RULES.iter().any(|(part, _)| path.contains(part));
        match (reader, schemas[0]) {
            (true, false) => wrong.push(format!("{shown}: the schema alone refuses it")),
            (false, true) if !is_rule => {
                wrong.push(format!("{shown}: the schema accepts it, but {found:?}"));
            }
            _ => {}
        }
        if case.is_inside && !reader && !is_rule {
            wrong.push(format!("{shown}: is inside, but {found:?}"));
        }
        if !case.is_inside && reader {
            wrong.push(format!("{shown}: is outside, but accepted"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(60).collect()
}
