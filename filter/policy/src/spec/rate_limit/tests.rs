//! Requests in flight, and conditions on metadata.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::spec::tests::rules;
use crate::spec::{MetadataCondition, MetadataValue};

#[test]
fn requests_in_flight_need_no_limit() {
    let rule = rules(r#"{"concurrency":{"max":7}}"#).unwrap().remove(0);
    assert_eq!((rule.concurrency, rule.limit), (Some(7), None));
    let both = r#"{"concurrency":{"max":1},"limit":{"requests":2,"unit":"Hour"},
                   "queue":{"maxDelay":"1s"},"cost":{"request":{"from":"Number","number":2}}}"#;
    let rule = rules(both).unwrap().remove(0);
    assert!(rule.queue.is_some() && rule.limit.is_some());
}

#[test]
fn what_a_rule_without_limit_cannot_mean_is_refused() {
    for (rule, wanted) in [
        ("{}", "local.rules[0]: must have limit or concurrency"),
        (
            r#"{"concurrency":{}}"#,
            "rules[0].concurrency.max: is required",
        ),
        (
            r#"{"concurrency":{"max":0}}"#,
            "concurrency.max: must be between 1 and",
        ),
        (
            r#"{"concurrency":5}"#,
            "rules[0].concurrency: must be an object",
        ),
        (
            r#"{"concurrency":{"max":1},"queue":{"maxDelay":"1s"}}"#,
            "rules[0].queue: must be left out: there is no limit",
        ),
        (
            r#"{"concurrency":{"max":1},"cost":{"request":{"from":"Number"}}}"#,
            "rules[0].cost: must be left out: there is no limit",
        ),
    ] {
        let found = rules(rule).expect_err(rule);
        assert!(found.iter().any(|it| it.contains(wanted)), "{found:?}");
    }
}

fn metadata(text: &str) -> Result<Vec<MetadataCondition>, Vec<String>> {
    let read = rules(&format!(
        r#"{{"clientSelectors":[{{"metadata":[{text}]}}],"concurrency":{{"max":1}}}}"#
    ))?;
    Ok(read[0].selector.metadata.clone())
}

#[test]
fn metadata_equals_a_value_or_counts_by_value() {
    let at = r#""namespace":"jwt","path":["payload","sub"]"#;
    for (rest, condition) in [
        (
            r#""value":"gold""#,
            Some((MetadataValue::Text("gold".into()), false)),
        ),
        (
            r#""type":"Exact","value":3,"invert":true"#,
            Some((MetadataValue::Number(3.0), true)),
        ),
        (r#""value":2.5"#, Some((MetadataValue::Number(2.5), false))),
        (
            r#""value":false"#,
            Some((MetadataValue::Boolean(false), false)),
        ),
        (r#""type":"Distinct""#, None),
    ] {
        let read = metadata(&format!("{{{at},{rest}}}")).unwrap().remove(0);
        assert_eq!(read.path, ["jwt", "payload", "sub"]);
        assert_eq!(read.condition, condition, "{rest}");
    }
}

#[test]
fn metadata_that_means_nothing_is_refused() {
    for (condition, wanted) in [
        (
            r#"{"path":["a"],"value":"b"}"#,
            "metadata[0].namespace: is required",
        ),
        (
            r#"{"namespace":"a","value":"b"}"#,
            "metadata[0].path: is required",
        ),
        (
            r#"{"namespace":"a","path":"b","value":"b"}"#,
            "metadata[0].path: must be a list of keys, one for each level",
        ),
        (
            r#"{"namespace":"a","path":[],"value":"b"}"#,
            "metadata[0].path: must have 1 to 16 items",
        ),
        (
            r#"{"namespace":"a","path":["b"]}"#,
            "metadata[0].value: is required",
        ),
        (
            r#"{"namespace":"a","path":["b"],"value":["c"]}"#,
            "metadata[0].value: must be a string, a number or a boolean",
        ),
        (
            r#"{"namespace":"a","path":["b"],"type":"Distinct","value":"c"}"#,
            "metadata[0].value: must be left out",
        ),
        (
            r#"{"namespace":"a","path":["b"],"type":"Prefix","value":"c"}"#,
            "metadata[0].type: must be one of Exact, Distinct",
        ),
    ] {
        let found = metadata(condition).expect_err(condition);
        assert!(found.iter().any(|it| it.contains(wanted)), "{found:?}");
    }
}
