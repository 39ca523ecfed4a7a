//! Requests in flight, and conditions on metadata.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::spec::tests::rules;
use crate::spec::{MetadataCondition, MetadataMatch, MetadataValue, OnMissing, PathPattern};

#[test]
fn requests_in_flight_need_no_limit() {
    let rule = rules(r#"{"concurrency":{"max":7}}"#).unwrap().remove(0);
    let max = rule.concurrency.map(|it| (it.max, it.classes.len()));
    assert_eq!((max, rule.limit), (Some((7, 0)), None));
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
    let exact = |value, invert| MetadataMatch::Exact { value, invert };
    for (rest, condition) in [
        (
            r#""value":"gold""#,
            exact(MetadataValue::Text("gold".into()), false),
        ),
        (
            r#""type":"Exact","value":3,"invert":true"#,
            exact(MetadataValue::Number(3.0), true),
        ),
        (r#""value":2.5"#, exact(MetadataValue::Number(2.5), false)),
        (
            r#""value":false"#,
            exact(MetadataValue::Boolean(false), false),
        ),
        (
            r#""type":"Distinct""#,
            MetadataMatch::Distinct(OnMissing::Exempt),
        ),
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
        // What is empty equals nothing.
        (
            r#"{"namespace":"a","path":["b"],"value":""}"#,
            "metadata[0].value: must be 1 to 1024 bytes long",
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

/// One edit, one run: nothing that is wrong hides behind something else.
#[test]
fn all_that_is_wrong_with_a_rule_is_said_at_once() {
    let rule = r#"{"limit":{"requests":3,"unit":"Hour","burst":0},"concurrency":5,"queue":"5s",
        "cost":2,"xRateLimitHeaders":"On","reject":[],"shared":"yes","shadowMode":1,
        "clientSelectors":[{"metadata":[{"type":"distinct","namespace":7,"path":"a.b"}]}]}"#;
    let found = rules(rule).unwrap_err();
    for wanted in [
        "limit.burst: must be between",
        "concurrency: must be an object, not a number; its fields: max, classes (got 5)",
        "queue: must be an object, not a string; its fields: maxDelay, maxQueued",
        "cost: must be an object, not a number; its fields: request, response (got 2)",
        "xRateLimitHeaders: must be one of",
        "reject: must be an object, not a list",
        "shared: must be true or false",
        "shadowMode: must be true or false",
        "metadata[0].type: must be one of",
        "metadata[0].namespace: must be a string",
        "metadata[0].path: must be a list of keys",
    ] {
        let hits = found.iter().filter(|it| it.contains(wanted)).count();
        assert_eq!(hits, 1, "{wanted}: {found:#?}");
    }
    assert_eq!(found.len(), 11, "{found:#?}");
}

#[test]
fn keys_of_metadata_hold_no_zero_byte() {
    let found = metadata(r#"{"namespace":"a\u0000b","path":["c\u0000d"],"value":1}"#);
    let found = found.unwrap_err();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found
            .iter()
            .all(|it| it.contains("must not hold a zero byte"))
    );
}

/// A rule's buckets are its own, whatever name another one has.
#[test]
fn no_name_is_what_a_rule_without_one_is_known_by() {
    let limit = r#""limit":{"requests":1,"unit":"Hour"}"#;
    let selectors = r#""clientSelectors":[{"methods":[{"value":"GET"}]}]"#;
    let read = rules(&format!(
        r#"{{{limit}}},{{"name":"default",{selectors},{limit}}},{{{selectors},{limit}}},
           {{{selectors},{limit}}},{{"name":"default-2",{selectors},{limit}}}"#
    ))
    .unwrap();
    let mut known: Vec<&str> = read.iter().map(|it| it.identity.as_str()).collect();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), 5, "{known:?}");
}

/// As the API's default of `value` has it.
#[test]
fn a_path_without_a_value_is_the_root_and_by_prefix_every_path() {
    let pattern = |path: &str| {
        let rule = format!(
            r#"{{"clientSelectors":[{{"path":{path}}}],"limit":{{"requests":1,"unit":"Day"}}}}"#
        );
        let rule = rules(&rule).unwrap().remove(0);
        rule.selector.paths[0].pattern.clone()
    };
    let root = || "/".to_owned();
    assert_eq!(pattern("{}"), PathPattern::Prefix(root()));
    assert_eq!(
        pattern(r#"{"type":"PathPrefix"}"#),
        PathPattern::Prefix(root())
    );
    assert_eq!(pattern(r#"{"type":"Exact"}"#), PathPattern::Exact(root()));
    assert_eq!(
        pattern(r#"{"type":"RegularExpression"}"#),
        PathPattern::Exact(root())
    );
}
