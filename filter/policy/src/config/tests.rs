//! Whole configurations: what is read, and what is said about wrong ones.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

mod overrides;

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
    assert_eq!(
        config.attachments.effective_policy(Some(b"shop/r")),
        Some(0)
    );
    assert_eq!(config.attachments.effective_policy(Some(b"r")), None);
    assert_eq!(config.attachments.effective_policy(None), None);
    let delay = config.policies[0]
        .spec
        .fault_injection
        .as_ref()
        .unwrap()
        .delay
        .as_ref()
        .unwrap();
    assert_eq!(delay.share.get(), 50_000);
    let fixed = crate::scalar::Duration::from_millis(200);
    assert_eq!(delay.length, crate::spec::DelayLength::Fixed(fixed));
}

#[test]
fn the_one_target_of_older_policies_is_taken_with_a_warning() {
    let target = r#"{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}"#;
    let policy =
        |spec: &str| format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{{spec}}}}}]}}"#);
    let read = config(&policy(&format!(r#""targetRef":{target}"#)));
    assert_eq!(read.policies[0].targets.len(), 1);
    assert_eq!(
        read.warnings[0].to_string(),
        "policies[0].spec.targetRef: is deprecated: write targetRefs, a list"
    );
    let both = policy(&format!(r#""targetRef":{target},"targetRefs":[{target}]"#));
    assert_eq!(
        refused(&both),
        ["policies[0].spec.targetRef: must be left out beside targetRefs: list the target there"]
    );
}

#[test]
fn a_route_policy_goes_before_an_untargeted_one() {
    let text = r#"{"policies":[
        {"metadata":{"name":"all"},"spec":{}},
        {"metadata":{"name":"one"},"spec":{"targetRefs":[
            {"group":"gateway.networking.k8s.io","kind":"GRPCRoute","name":"r"}]}}]}"#;
    let attachments = PluginConfig::parse(text.as_bytes()).unwrap().attachments;
    assert_eq!(attachments.effective_policy(Some(b"r")), Some(1));
    assert_eq!(attachments.effective_policy(Some(b"default/r")), Some(1));
    assert_eq!(attachments.effective_policy(Some(b"other")), Some(0));
    assert_eq!(attachments.effective_policy(None), Some(0));
}

/// The age decides between policies, so it must be one.
#[test]
fn a_policy_was_made_at_a_time_that_there_is() {
    let made = |time: &str| {
        format!(
            r#"{{"policies":[{{"metadata":{{"name":"p","creationTimestamp":"{time}"}},"spec":{{}}}}]}}"#
        )
    };
    for time in ["2025-99-99T99:99:99Z", "2025-02-29T00:00:00Z"] {
        let found = refused(&made(time));
        let wanted = "policies[0].metadata.creationTimestamp: must be a time as RFC 3339 writes it";
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(wanted), "{found:?}");
    }
    let config = PluginConfig::parse(made("2025-01-31T12:00:00Z").as_bytes()).unwrap();
    assert_eq!(config.policies[0].created, Some(1_738_324_800_000));
}

#[test]
fn every_problem_is_found_at_once() {
    let found = refused_spec(
        r#"{"faultInjection":{"delay":{"fixedDelay":"0s","percentage":120},
                              "abort":{"httpStatus":600}},
            "responseOverrides":[],"timeout":{}}"#,
    );
    assert_eq!(
        found,
        [
            "responseOverrides: is not a known field; did you mean \"responseOverride\"?",
            "faultInjection.delay.fixedDelay: must be longer than zero (got \"0s\")",
            "faultInjection.delay.percentage: must be a percentage from 0 to 100, \
             in steps of 0.0001 (got 120)",
            "faultInjection.abort.httpStatus: must be between 200 and 599 (got 600)",
            "timeout: is enforced by Envoy itself: configure it there, as btp apply does, and \
             leave it out here, or set nativeFields to Ignore",
        ]
    );
}

#[test]
fn fault_injection_needs_something_to_do() {
    for (spec, reason) in [
        (
            r#"{"faultInjection":{}}"#,
            "must have delay, abort or headerControl",
        ),
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
            "must be a duration such as 200ms",
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
fn a_policy_is_defined_once() {
    let route = |kind| {
        format!(
            r#"{{"targetRefs":[{{"group":"gateway.networking.k8s.io","kind":"{kind}","name":"r"}}]}}"#
        )
    };
    let (http, grpc) = (route("HTTPRoute"), route("GRPCRoute"));
    let found = refused(&format!(
        r#"{{"policies":[
            {{"metadata":{{"name":"p"}},"spec":{http}}},
            {{"metadata":{{"name":"p","namespace":"other"}},"spec":{grpc}}},
            {{"metadata":{{"name":"p","namespace":"default"}},"spec":{grpc}}}]}}"#
    ));
    assert_eq!(
        found,
        [
            "policies[2].metadata.name: is defined twice: policies[0] is default/p as well; keep \
             one of them, or rename one"
        ]
    );
}

#[test]
fn two_policies_for_everything_are_refused() {
    let text = r#"{"policies":[{"metadata":{"name":"a"},"spec":{}},
                               {"metadata":{"name":"b"},"spec":{}}]}"#;
    let found = refused(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("policies[1]: applies to everything"),
        "{found:?}"
    );
    assert!(found[0].contains("so does default/a"), "{found:?}");
    let disabled = r#"{"policies":[{"metadata":{"name":"a"},"spec":{}},
                                   {"metadata":{"name":"b","namespace":"off"},"spec":{}}],
                       "namespaces":[{"name":"off","disabled":true}]}"#;
    let config = PluginConfig::parse(disabled.as_bytes()).unwrap();
    assert_eq!(config.attachments.effective_policy(None), Some(0));
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

proptest::proptest! {
    #[test]
    fn any_bytes_give_a_config_or_problems(text in proptest::collection::vec(0_u8.., 0..200)) {
        if let Err(problems) = PluginConfig::parse(&text) {
            proptest::prop_assert!(!problems.is_empty());
        }
    }
}

fn config(text: &str) -> PluginConfig {
    match PluginConfig::parse(text.as_bytes()) {
        Ok(config) => config,
        Err(problems) => panic!("{problems:?}"),
    }
}

#[test]
fn what_is_not_enforced_is_refused() {
    for (spec, reason) in [
        (
            r#"{"retry":{"perRetry":{"backOff":{"baseInterval":"1s"}}}}"#,
            "retry.perRetry.backOff: is enforced by Envoy itself",
        ),
        (
            r#"{"retry":{"numAttemptsPerPriority":1}}"#,
            "retry.numAttemptsPerPriority: is enforced by Envoy itself",
        ),
        (
            r#"{"requestBuffer":{"limit":1}}"#,
            "requestBuffer.mode: is Buffer, which needs allow_on_headers_stop_iteration",
        ),
        (
            r#"{"timeout":{}}"#,
            "timeout: is enforced by Envoy itself: configure it there, as btp apply does",
        ),
        (
            r#"{"rateLimit":{"global":{}}}"#,
            "rateLimit.global: needs a rate limit service",
        ),
        (
            r#"{"responseOverride":[{"match":{"responseHeaders":[{"name":"a",
                "value":{"value":"b"}}]},"redirect":{}}]}"#,
            "responseOverride[0].redirect: makes Envoy run the request again",
        ),
    ] {
        let found = refused_spec(spec);
        assert!(
            found.iter().any(|line| line.starts_with(reason)),
            "{spec}: {found:?}"
        );
    }
}

#[test]
fn native_fields_are_refused_ignored_or_applied() {
    let policies = r#""policies":[{"metadata":{"name":"p"},"spec":{"timeout":{},"dns":{}}}]"#;
    assert_eq!(refused(&format!("{{{policies}}}")).len(), 2);
    let ignored = config(&format!(r#"{{{policies},"nativeFields":"Ignore"}}"#));
    let warned: Vec<_> = ignored.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "policies[0].spec.timeout: is enforced by Envoy itself, and ignored here",
            "policies[0].spec.dns: is enforced by Envoy itself, and ignored here",
        ]
    );
    let applied = config(&format!(r#"{{{policies},"nativeFields":"Applied"}}"#));
    assert!(applied.warnings.is_empty());
}

#[test]
fn a_config_map_that_is_listed_twice_is_named() {
    let found = refused(
        r#"{"policies":[],"configMaps":[{"metadata":{"name":"errors"}},
            {"metadata":{"name":"errors","namespace":"default"}}]}"#,
    );
    let wanted = "configMaps[1].metadata.name: names default/errors, which is listed twice: keep \
                  one of them";
    assert_eq!(found, [wanted]);
}

#[test]
fn an_instance_may_leave_capabilities_to_another() {
    let text = r#"{"policies":[{"metadata":{"name":"p"},"spec":{"retry":{}}}],
                   "enforce":["faultInjection"]}"#;
    assert!(config(text).enforce.fault_injection);
    let one = config(r#"{"policies":[],"enforce":["rateLimit"]}"#).enforce;
    assert!(one.rate_limit && !one.retry);
    let upstream = r#"{"policies":[],"position":"Upstream""#;
    assert!(config(&format!("{upstream}}}")).enforce.retry);
    let found = refused(&format!(r#"{upstream},"enforce":["responseOverride"]}}"#));
    assert!(
        found[0].starts_with("enforce[0]: cannot be enforced with position Upstream"),
        "{found:?}"
    );
}

#[test]
fn keys_that_nothing_heeds_are_refused() {
    for (key, path) in [
        (
            r#""position":"Upstream","enforce":["responseOverride"]"#,
            "enforce[0]: cannot be enforced with position Upstream",
        ),
        (r#""position":"upstream""#, "position: must be one of"),
        (r#""accessLog":"yes""#, "accessLog: must be true or false"),
        (
            r#""allowOnHeadersStopIteration":"yes""#,
            "allowOnHeadersStopIteration: must be true or false",
        ),
        (
            r#""limits":{"distinctKeys":5}"#,
            "limits.distinctKeys: must be between 64 and 1048576",
        ),
        (r#""limits":{"routes":0}"#, "limits.routes: must be between"),
        (
            r#""limits":{"requestValueBytes":65537}"#,
            "limits.requestValueBytes: must be between 0 and 65536",
        ),
        (
            r#""limits":{"requestValueBytesPerWorker":-1}"#,
            "limits.requestValueBytesPerWorker: must be between 0 and 268435456",
        ),
        (r#""gateway":{}"#, "gateway.name: is required"),
        (r#""attachment":{}"#, "attachment: must have either"),
        (
            r#""attachment":{"allRoutes":"a/b","onlyRoute":"r"}"#,
            "attachment: must have either",
        ),
        (
            r#""attachment":{"allRoutes":"default/p"}"#,
            "attachment.allRoutes: must be the namespace/name of one of the policies",
        ),
        (
            r#""attachment":{"onlyRoute":""}"#,
            "attachment.onlyRoute: must",
        ),
        (
            r#""namespaces":[{"name":"a"},{"name":"a"}]"#,
            "namespaces[1]: is listed twice",
        ),
        (r#""polices":[]"#, "polices: is not a known field"),
    ] {
        let found = refused(&format!(r#"{{"policies":[],{key}}}"#));
        assert!(
            found.iter().any(|line| line.starts_with(path)),
            "{key}: {found:?}"
        );
    }
    let text = r#"{"policies":[],"position":"Downstream","accessLog":false,
                   "allowOnHeadersStopIteration":false,"limits":{"routes":7,
                   "requestValueBytes":0,"requestValueBytesPerWorker":9}}"#;
    let limits = config(text).limits;
    assert_eq!((limits.routes, limits.distinct_keys), (7, 65_536));
    assert_eq!(limits.request_value_bytes, 0);
    assert_eq!(limits.request_value_bytes_per_worker, 9);
}

#[test]
fn what_is_known_of_routes_is_read() {
    let policy =
        r#"{"metadata":{"name":"p"},"spec":{"faultInjection":{"abort":{"httpStatus":503}}}}"#;
    let read = |attachment| {
        let text = format!(r#"{{"policies":[{policy}],"attachment":{attachment}}}"#);
        let attachments = config(&text).attachments;
        (
            attachments.of_all(),
            attachments.only_route().map(str::to_owned),
        )
    };
    assert_eq!(read(r#"{"allRoutes":"default/p"}"#), (Some(0), None));
    let off = format!(
        r#"{{"policies":[{policy}],"attachment":{{"allRoutes":"default/p"}},
            "namespaces":[{{"name":"default","disabled":true}}]}}"#
    );
    let found = refused(&off);
    assert!(
        found[0].starts_with("attachment.allRoutes: names a policy"),
        "{found:?}"
    );
    let only = read(r#"{"onlyRoute":"shop"}"#);
    assert_eq!(only, (None, Some("shop".to_owned())));
}

/// A Gateway policy and a route policy that merges with it.
fn merging(parent: &str, child: &str) -> String {
    let target = |kind| {
        format!(
            r#""targetRefs":[{{"group":"gateway.networking.k8s.io","kind":"{kind}","name":"x"}}]"#
        )
    };
    format!(
        r#"{{"policies":[
            {{"metadata":{{"name":"gw"}},"spec":{{{},{parent}}}}},
            {{"metadata":{{"name":"route"}},"spec":{{{},{child}}}}}],
            "enforce":["faultInjection","responseOverride"]}}"#,
        target("Gateway"),
        target("HTTPRoute"),
    )
}

#[test]
fn a_route_policy_merges_with_the_gateways() {
    let text = merging(
        r#""faultInjection":{"delay":{"fixedDelay":"1s"}},
           "responseOverride":[{"match":{"statusCodes":[{"value":500}]},"response":{}}]"#,
        r#""mergeType":"StrategicMerge","faultInjection":{"abort":{"httpStatus":503}}"#,
    );
    let config = config(&text);
    assert_eq!(config.attachments.effective_policy(Some(b"x")), Some(1));
    let spec = &config.policies[1].spec;
    let fault = spec.fault_injection.as_ref().unwrap();
    assert!(fault.delay.is_some() && fault.abort.is_some());
    assert_eq!(spec.response_override.len(), 1);
    assert!(
        config.policies[0]
            .spec
            .fault_injection
            .as_ref()
            .unwrap()
            .abort
            .is_none()
    );
}

#[test]
fn strategic_merges_unite_rate_limit_rules_and_json_merges_replace_them() {
    let rule = |requests, selector: &str| {
        format!(r#"{{{selector}"limit":{{"requests":{requests},"unit":"Second"}}}}"#)
    };
    let some = r#""clientSelectors":[{"headers":[{"name":"a","type":"Distinct"}]}],"#;
    let parent = format!(
        r#""rateLimit":{{"local":{{"rules":[{},{}]}}}}"#,
        rule(1, ""),
        rule(2, some)
    );
    for (how, wanted) in [("StrategicMerge", vec![3, 2]), ("JSONMerge", vec![3])] {
        let child = format!(
            r#""mergeType":"{how}","rateLimit":{{"local":{{"rules":[{}]}}}}"#,
            rule(3, some)
        );
        let config = config(&merging(&parent, &child));
        let limits = config.policies[1]
            .spec
            .rate_limit
            .clone()
            .unwrap()
            .local
            .unwrap();
        let found: Vec<_> = limits
            .rules
            .iter()
            .map(|rule| rule.limit.unwrap().requests)
            .collect();
        assert_eq!(found, wanted, "{how}");
        let origins: Vec<_> = limits
            .rules
            .iter()
            .map(|rule| rule.policy.name.as_str())
            .collect();
        assert_eq!(origins, &["route", "gw"][..wanted.len()], "{how}");
    }
}

#[test]
fn what_is_wrong_only_together_says_so() {
    let found = refused(&merging(
        r#""faultInjection":{"abort":{"httpStatus":503}}"#,
        r#""mergeType":"JSONMerge","faultInjection":{"abort":{"grpcStatus":14}}"#,
    ));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("exactly one of"), "{found:?}");
    assert!(
        found[0].contains("after the merge with default/gw"),
        "{found:?}"
    );
}

#[test]
fn only_route_policies_merge() {
    let gateway = r#"{"mergeType":"JSONMerge","targetRefs":[{"kind":"Gateway","name":"g",
                      "group":"gateway.networking.k8s.io"}]}"#;
    for spec in [
        gateway,
        r#"{"mergeType":"StrategicMerge"}"#,
        r#"{"mergeType":"Replace"}"#,
    ] {
        let found = refused_spec(spec);
        assert!(found[0].starts_with("mergeType: "), "{found:?}");
    }
}

#[test]
fn a_host_that_always_holds_headers_needs_not_be_told_so() {
    let text =
        br#"{"policies":[{"metadata":{"name":"p"},"spec":{"requestBuffer":{"limit":"1Ki"}}}]}"#;
    assert!(PluginConfig::parse(text).is_err());
    assert!(PluginConfig::parse_with(text, HeldHeaders::Always).is_ok());
}
