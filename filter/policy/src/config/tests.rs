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
        .as_ref()
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
            "timeout: is Envoy's own to enforce: configure it there and leave it out here, \
             or set nativeFields to Ignore",
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
        (
            over("{}", "{}"),
            "must have statusCodes, responseHeaders, grpc",
        ),
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
            over(any, r#"{"body":{"inline":"%RESPONSE_KODE%"}}"#),
            "did you mean %RESPONSE_CODE%?",
        ),
        (
            over(any, r#"{"body":{"inline":"%LOCAL_REPLY_BODY%"}}"#),
            "always empty here: leave it out",
        ),
        (
            over(
                any,
                r#"{"contentType":"text/html","body":{"inline":"<a %REQ(x)%>"}}"#,
            ),
            "in a tag outside of quotes",
        ),
        (
            over(
                any,
                r#"{"contentType":"%RESP(a)%","body":{"inline":"%REQ(x)%"}}"#,
            ),
            "write the content type out",
        ),
        (
            over(any, r#"{"keepBody":true,"body":{"inline":"x"}}"#),
            "body: must be left out beside keepBody",
        ),
        (
            over(any, r#"{"keepBody":true,"statusCode":204}"#),
            "a 204 response has no body",
        ),
        (
            over(any, r#"{"header":{"remove":["x"]}}"#),
            "set keepHeaders or keepBody",
        ),
        (
            over(
                any,
                r#"{"variants":[{"contentType":"html","body":{"inline":"x"}}]}"#,
            ),
            "variants[0].contentType: must be a media type",
        ),
        (
            over(
                any,
                r#"{"contentType":"a/b","variants":[{"contentType":"a/b","body":{"inline":""}}]}"#,
            ),
            "variants: have content types of their own",
        ),
        (
            over(any, r#"{"body":{"inline":"x","format":"RawTemplat"}}"#),
            "did you mean",
        ),
        (
            over(r#"{"grpcStatus":[17]}"#, "{}"),
            "match.grpcStatus[0]: must be between 0 and 16",
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
fn two_policies_for_everything_are_refused() {
    let text = r#"{"policies":[{"metadata":{"name":"a"},"spec":{}},
                               {"metadata":{"name":"b"},"spec":{}}]}"#;
    let found = refused(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("policies[1]: governs everything"),
        "{found:?}"
    );
    assert!(found[0].contains("so does default/a"), "{found:?}");
    let disabled = r#"{"policies":[{"metadata":{"name":"a"},"spec":{}},
                                   {"metadata":{"name":"b","namespace":"off"},"spec":{}}],
                       "namespaces":[{"name":"off","disabled":true}]}"#;
    let config = PluginConfig::parse(disabled.as_bytes()).unwrap();
    assert_eq!(config.attachments.governing(None), Some(0));
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
    assert_eq!(bodies(&config), ["100%%"]);
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
            "retry.perRetry.backOff: is Envoy's own to enforce",
        ),
        (
            r#"{"retry":{"numAttemptsPerPriority":1}}"#,
            "retry.numAttemptsPerPriority: is Envoy's own to enforce",
        ),
        (
            r#"{"rateLimit":{}}"#,
            "rateLimit: is not enforced by this version",
        ),
        (
            r#"{"requestBuffer":{"limit":1}}"#,
            "requestBuffer.mode: is Buffer, which needs allow_on_headers_stop_iteration",
        ),
        (
            r#"{"timeout":{}}"#,
            "timeout: is Envoy's own to enforce: configure it there",
        ),
        (
            r#"{"rateLimit":{"global":{}}}"#,
            "rateLimit.global: is Envoy's own",
        ),
        (
            r#"{"responseOverride":[{"match":{"responseHeaders":[{"name":"a",
                "value":{"value":"b"}}]},"redirect":{}}]}"#,
            "responseOverride[0].redirect: asks Envoy to run the request again",
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
            "policies[0].spec.dns: is Envoy's own to enforce, and ignored here",
            "policies[0].spec.timeout: is Envoy's own to enforce, and ignored here",
        ]
    );
    let applied = config(&format!(r#"{{{policies},"nativeFields":"Applied"}}"#));
    assert!(applied.warnings.is_empty());
}

#[test]
fn an_instance_may_leave_capabilities_to_another() {
    let text = r#"{"policies":[{"metadata":{"name":"p"},"spec":{"retry":{}}}],
                   "enforce":["faultInjection"]}"#;
    assert!(config(text).enforce.fault_injection);
    let found = refused(r#"{"policies":[],"enforce":["rateLimit"]}"#);
    assert!(
        found[0].starts_with("enforce[0]: is not enforced"),
        "{found:?}"
    );
    let upstream = r#"{"policies":[],"position":"Upstream""#;
    assert!(config(&format!("{upstream}}}")).enforce.retry);
    let found = refused(&format!(r#"{upstream},"enforce":["responseOverride"]}}"#));
    assert!(
        found[0].starts_with("enforce[0]: must not be among what"),
        "{found:?}"
    );
}

#[test]
fn keys_that_nothing_heeds_are_refused() {
    for (key, path) in [
        (r#""position":"upstream""#, "position: must be one of"),
        (r#""accessLog":true"#, "accessLog: must be false"),
        (
            r#""allowOnHeadersStopIteration":"yes""#,
            "allowOnHeadersStopIteration: must be true or false",
        ),
        (
            r#""limits":{"distinctKeys":5}"#,
            "limits.distinctKeys: is not enforced",
        ),
        (r#""limits":{"routes":0}"#, "limits.routes: must be between"),
        (r#""gateway":{}"#, "gateway.name: is required"),
        (
            r#""namespaces":[{"name":"a"},{"name":"a"}]"#,
            "namespaces[1]: stands in this list twice",
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
                   "allowOnHeadersStopIteration":false,"limits":{"routes":7}}"#;
    assert_eq!(config(text).limits.routes, 7);
}

#[test]
fn redirects_and_kept_headers_are_checked() {
    let any = r#""match":{"statusCodes":[{"value":500}]}"#;
    let redirect = |it: &str| {
        format!(r#"{{"responseOverride":[{{{any},"redirect":{{"mode":"Client",{it}}}}}]}}"#)
    };
    let path = |it: &str| {
        redirect(&format!(
            r#""path":{{"type":"ReplaceFullPath","replaceFullPath":"{it}"}}"#
        ))
    };
    let keep = |it: &str| {
        format!(r#"{{"responseOverride":[{{{any},"response":{{}},"keepHeaders":{it}}}]}}"#)
    };
    for (spec, reason) in [
        (redirect(r#""statusCode":302"#), "leads the client back"),
        (
            redirect(r#""port":1,"statusCode":304"#),
            "must be 301, 302, 303, 307 or 308",
        ),
        (path("x"), "must begin with one /"),
        (path("//evil.example"), "must begin with one /"),
        (path("/a b"), "must be written in URL characters"),
        (path("/a%20b"), "write %% for a percent sign"),
        (keep(r#""Some""#), "must be one of None, All"),
        (keep("1"), "must be None, All or a list"),
        (keep(r#"["ETag"]"#), "describes the original body"),
        (keep("[]"), "1 to 64 items"),
        (
            format!(
                r#"{{"responseOverride":[{{{any},"keepHeaders":["a"],"response":{{"keepBody":true}}}}]}}"#
            ),
            "which keeps all headers",
        ),
        (
            format!(r#"{{"responseOverride":[{{{any},"redirect":{{"statusCode":307}}}}]}}"#),
            "303, 307 and 308 need mode: Client",
        ),
        (
            format!(r#"{{"responseOverride":[{{{any},"redirect":{{}},"response":{{}}}}]}}"#),
            "exactly one of response and redirect",
        ),
    ] {
        let found = refused_spec(&spec);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{spec}: {found:?}"
        );
    }
    let conditional = r#"{"match":{"requests":[{"methods":[{"value":"GET"}]}]},"response":{}}"#;
    let rules = |count| {
        format!(
            r#"{{"responseOverride":[{}]}}"#,
            vec![conditional; count].join(",")
        )
    };
    assert!(refused_spec(&rules(65))[0].contains("in more than 64 rules"));
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{}}}]}}"#,
        rules(64)
    );
    assert_eq!(config(&text).policies[0].spec.response_override.len(), 64);
}

/// The bodies of the first policy's first override.
fn bodies(config: &PluginConfig) -> Vec<String> {
    let mut rule = config.policies[0].spec.response_override[0].clone();
    let bodies = rule.bodies_mut().into_iter();
    bodies.map(|(_, body)| body.template.to_string()).collect()
}

/// A policy that takes its body from a ConfigMap, and the maps.
fn with_config_maps(maps: &str) -> String {
    format!(
        r#"{{"policies":[{{"metadata":{{"name":"p","namespace":"shop"}},"spec":{{
            "responseOverride":[{{"match":{{"statusCodes":[{{"value":500}}]}},
                "response":{{"body":{{"type":"ValueRef","valueRef":
                    {{"group":"","kind":"ConfigMap","name":"errors"}}}}}}}}]}}}}],
            "configMaps":[{maps}]}}"#
    )
}

#[test]
fn bodies_come_from_config_maps() {
    let map = |data: &str| {
        with_config_maps(&format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap",
                 "metadata":{{"name":"errors","namespace":"shop"}},"data":{data}}}"#
        ))
    };
    for data in [
        r#"{"response.body":"sorry","other":"x"}"#,
        r#"{"page.html":"sorry"}"#,
    ] {
        let config = config(&map(data));
        assert_eq!(bodies(&config), ["sorry"], "{data}");
    }
    for (text, reason) in [
        (
            map(r#"{"a":"x","b":"y"}"#),
            "which has no key \"response.body\"",
        ),
        (map(r#"{"a":"5 % off"}"#), "has no command operator at"),
        (with_config_maps(""), "which is not here"),
    ] {
        let found = refused(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        let path = "policies[0].spec.responseOverride[0].response.body.valueRef: \
                    refers to ConfigMap shop/errors";
        assert!(
            found[0].starts_with(path) && found[0].contains(reason),
            "{found:?}"
        );
    }
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
    assert_eq!(config.attachments.governing(Some(b"x")), Some(1));
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
            .map(|rule| rule.limit.requests)
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
        assert!(found[0].starts_with("mergeType: must "), "{found:?}");
    }
}
