//! Whole configurations: what is read, and what is said about wrong ones.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn refused(text: &str) -> Vec<String> {
    let problems = PluginConfig::parse(text.as_bytes()).expect_err("is accepted");
    problems.iter().map(ToString::to_string).collect()
}

fn refused_spec(spec: &str) -> Vec<String> {
    let text = format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}]}}"#);
    refused(&text)
        .into_iter()
        .map(|line| line.replace("policies[0].spec.", ""))
        .collect()
}

#[test]
fn a_cluster_export_is_read() {
    let text = r#"{"policies":[{
        "apiVersion":"gateway.envoyproxy.io/v1alpha1","kind":"BackendTrafficPolicy",
        "metadata":{"name":"checkout","namespace":"shop","uid":"1","generation":4,"labels":{"a":"b"}},
        "spec":{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}],
                "faultInjection":{"delay":{"fixedDelay":"200ms","percentage":5.0}}},
        "status":{"ancestors":[]}}]}"#;
    let config = PluginConfig::parse(text.as_bytes()).unwrap();
    assert_eq!(config.policies[0].name.to_string(), "shop/checkout");
    assert_eq!(config.attachments.governing(Some(b"shop/r")), Some(0));
    assert_eq!(config.attachments.governing(Some(b"r")), None);
    assert_eq!(config.attachments.governing(None), None);
    let delay = config.policies[0]
        .spec
        .fault_injection
        .as_ref()
        .unwrap()
        .delay
        .unwrap();
    assert_eq!(delay.share.get(), 50_000);
    assert_eq!(delay.fixed.as_nanos(), 200_000_000);
}

#[test]
fn a_route_policy_goes_before_an_untargeted_one() {
    let text = r#"{"policies":[
        {"metadata":{"name":"all"},"spec":{}},
        {"metadata":{"name":"one"},"spec":{"targetRefs":[
            {"group":"gateway.networking.k8s.io","kind":"GRPCRoute","name":"r"}]}}]}"#;
    let attachments = PluginConfig::parse(text.as_bytes()).unwrap().attachments;
    assert_eq!(attachments.governing(Some(b"r")), Some(1));
    assert_eq!(attachments.governing(Some(b"default/r")), Some(1));
    assert_eq!(attachments.governing(Some(b"other")), Some(0));
    assert_eq!(attachments.governing(None), Some(0));
}

#[test]
fn every_problem_is_found_at_once() {
    let found = refused_spec(
        r#"{"faultInjection":{"delay":{"fixedDelay":"0s","percentage":120},
                              "abort":{"httpStatus":600}},
            "responseOverrides":[],"retry":{}}"#,
    );
    assert_eq!(
        found,
        [
            "responseOverrides: is not a known field; did you mean \"responseOverride\"?",
            "retry: is not enforced by this version of the filter: \
             configure it in Envoy itself and leave it out here",
            "faultInjection.delay.fixedDelay: must be longer than zero (got \"0s\")",
            "faultInjection.delay.percentage: must be a percentage from 0 to 100, \
             in steps of 0.0001 (got 120)",
            "faultInjection.abort.httpStatus: must be between 200 and 599 (got 600)",
        ]
    );
}

#[test]
fn fault_injection_needs_something_to_do() {
    for (spec, reason) in [
        (r#"{"faultInjection":{}}"#, "must have delay, abort or both"),
        (r#"{"faultInjection":{"delay":{}}}"#, "is required"),
        (r#"{"faultInjection":{"abort":{}}}"#, "exactly one of"),
        (
            r#"{"faultInjection":{"abort":{"httpStatus":500,"grpcStatus":1}}}"#,
            "exactly one of",
        ),
        (
            r#"{"faultInjection":{"abort":{"grpcStatus":17}}}"#,
            "between 0 and 16",
        ),
        (
            r#"{"faultInjection":{"delay":{"fixedDelay":200}}}"#,
            "must be a string, not a number",
        ),
    ] {
        let found = refused_spec(spec);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{spec}: {found:?}"
        );
    }
}

#[test]
fn overrides_that_envoy_could_not_send_are_refused() {
    let over = |matching: &str, response: &str| {
        format!(r#"{{"responseOverride":[{{"match":{matching},"response":{response}}}]}}"#)
    };
    let any = r#"{"statusCodes":[{"value":500}]}"#;
    for (spec, reason) in [
        (over("{}", "{}"), "is required"),
        (over(r#"{"statusCodes":[]}"#, "{}"), "1 to 50 items"),
        (
            over(
                r#"{"statusCodes":[{"type":"Range","range":{"start":500,"end":400}}]}"#,
                "{}",
            ),
            "must not end before it starts",
        ),
        (
            over(r#"{"statusCodes":[{"type":"Range","value":500}]}"#, "{}"),
            "must not stand beside range",
        ),
        (over(any, r#"{"statusCode":199}"#), "between 200 and 599"),
        (
            over(any, r#"{"statusCode":204,"body":{"inline":"x"}}"#),
            "a 204 response has no body",
        ),
        (
            over(any, r#"{"body":{"inline":"%RESPONSE_CODE%"}}"#),
            "contains a command operator",
        ),
        (
            over(
                any,
                r#"{"header":{"set":[{"name":"content-length","value":"1"}]}}"#,
            ),
            "written by Envoy itself",
        ),
        (
            over(
                any,
                r#"{"header":{"set":[{"name":"a","value":"1\r\nb: 2"}]}}"#,
            ),
            "control characters",
        ),
    ] {
        let found = refused_spec(&spec);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{spec}: {found:?}"
        );
    }
}

#[test]
fn two_policies_for_one_target_are_refused() {
    let target =
        r#"{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}]}"#;
    for spec in [target, "{}"] {
        let found = refused(&format!(
            r#"{{"policies":[{{"metadata":{{"name":"a"}},"spec":{spec}}},
                             {{"metadata":{{"name":"b"}},"spec":{spec}}}]}}"#
        ));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("policies[1]: "), "{found:?}");
        assert!(found[0].contains("so does default/a"), "{found:?}");
    }
}

#[test]
fn switches_are_read() {
    let config =
        PluginConfig::parse(br#"{"policies":[],"disabled":true,"enforce":["responseOverride"]}"#)
            .unwrap();
    assert!(config.disabled);
    assert!(!config.enforce.fault_injection && config.enforce.response_override);
    assert_eq!(
        refused(r#"{"policies":[],"enforce":["fault"],"disabled":"no"}"#).len(),
        2
    );
}

#[test]
fn percent_signs_are_written_twice() {
    let text = r#"{"policies":[{"metadata":{"name":"p"},"spec":{"responseOverride":[
        {"match":{"statusCodes":[{"value":500}]},"response":{"body":{"inline":"100%%"}}}]}}]}"#;
    let config = PluginConfig::parse(text.as_bytes()).unwrap();
    assert_eq!(
        config.policies[0].spec.response_override[0].response.body,
        "100%"
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_a_config_or_problems(text in proptest::collection::vec(0_u8.., 0..200)) {
        if let Err(problems) = PluginConfig::parse(&text) {
            proptest::prop_assert!(!problems.is_empty());
        }
    }
}
