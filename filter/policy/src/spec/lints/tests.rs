use super::*;
use crate::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn advice(spec: &str) -> Vec<String> {
    let node = json::parse(spec.as_bytes()).unwrap();
    let mut warnings = Problems::default();
    lint(Cursor::root(&node), &mut warnings);
    let found = warnings.into_vec();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn every_item_of_the_checklist() {
    for (spec, wanted) in [
        (
            r#"{"admissionControl":{},"retry":{}}"#,
            "admissionControl: applies to each attempt of a request",
        ),
        (
            r#"{"retry":{"numRetries":6}}"#,
            "retry.numRetries: multiplies",
        ),
        (
            r#"{"retry":{"retryOn":{"triggers":["reset"]}}}"#,
            "retry.retryOn.triggers: lacks connect-failure",
        ),
        (
            r#"{"retry":{"retryOn":{"triggers":["connect-failure"],"httpStatusCodes":[502]}}}"#,
            "retry.retryOn.httpStatusCodes: has no effect",
        ),
        (
            r#"{"retry":{"retryOn":{"triggers":["connect-failure","retriable-status-codes"]}}}"#,
            "retry.retryOn.triggers: has retriable-status-codes, but",
        ),
        (
            r#"{"retry":{"retryOn":{"conditions":[{"triggers":["reset"]},
                {"httpStatusCodes":[503],"methods":["GET"]}]}}}"#,
            "retry.retryOn.conditions: lacks connect-failure",
        ),
        (
            r#"{"retry":{"retryOn":{"conditions":[{"triggers":["retriable-status-codes"]},
                {"triggers":["connect-failure"],"methods":["GET"]}]}}}"#,
            "retry.retryOn.conditions: has retriable-status-codes, but",
        ),
        (
            r#"{"retry":{"perRetry":{"timeout":"250ms"},"retryOn":{"conditions":[
                {"triggers":["connect-failure"]},{"httpStatusCodes":[504],"methods":["GET"]}]}}}"#,
            "retry.perRetry.timeout: ends an attempt without a retry: only the triggers reset",
        ),
        (
            r#"{"retry":{"perRetry":{"timeout":"250ms"},"retryOn":{"httpStatusCodes":[500,504],
                "triggers":["connect-failure","retriable-status-codes"]}}}"#,
            "retry.perRetry.timeout: ends an attempt without a retry: only the triggers reset",
        ),
        (
            r#"{"retry":{"perRetry":{"timeout":"2s"},"retryOn":{"triggers":["5xx"]}},
                "timeout":{"http":{"requestTimeout":"1s"}}}"#,
            "retry.perRetry.timeout: never ends: the request ends after 1s",
        ),
        (
            r#"{"retry":{"perRetry":{"timeout":"1s"},"retryOn":{"triggers":["5xx"]}},
                "timeout":{"http":{"requestTimeout":"2s"}}}"#,
            "retry.perRetry.timeout: leaves no time for all 3 attempts",
        ),
        (
            r#"{"circuitBreaker":{"maxConnections":9,"maxPendingRequests":0,"maxParallelRequests":9}}"#,
            "circuitBreaker.maxPendingRequests: lets no request wait for a connection",
        ),
        (
            r#"{"responseOverride":[{},{"redirect":{"hostname":"a.b"}}]}"#,
            "responseOverride[1].redirect: makes Envoy run the request again",
        ),
        (
            r#"{"healthCheck":{"active":{"type":"HTTP","unhealthyThreshold":3,
                "http":{"path":"/","expectedStatuses":[200]}}}}"#,
            "healthCheck.active.unhealthyThreshold: does not apply to wrong statuses",
        ),
        (
            r#"{"rateLimit":{"local":{"rules":[{},{"limit":{"requests":10,"unit":"Year"},
                "clientSelectors":[{"headers":[{"name":"x-user","type":"Distinct"}]}]}]}}}"#,
            "rateLimit.local.rules[1].limit.unit: is long for a Distinct header",
        ),
        (
            r#"{"compressor":[{"type":"Gzip","gzip":{}},{"type":"Brotli","brotli":null}]}"#,
            "compressor[1]: is off, as in Envoy Gateway, because it has no settings: write \
             brotli: {}",
        ),
        (
            r#"{"circuitBreaker":{"maxConnections":9,"maxPendingRequests":9,
                "maxParallelRequests":9,"maxParallelRetries":9,
                "retryBudget":{"percent":{"numerator":20}}}}"#,
            "circuitBreaker.maxParallelRetries: has no effect beside retryBudget",
        ),
        (
            r#"{"healthCheck":{"passive":{"consecutiveLocalOriginFailures":3}}}"#,
            "healthCheck.passive.consecutiveLocalOriginFailures: has no effect without split",
        ),
        (
            r#"{"retryConstraint":{},"circuitBreaker":{"maxConnections":9,
                "maxPendingRequests":9,"maxParallelRequests":9,"maxParallelRetries":9}}"#,
            "retryConstraint: limits retries, but",
        ),
        (
            r#"{"retry":{},"retryConstraint":{},
                "circuitBreaker":{"maxConnections":9,"maxPendingRequests":9,
                "maxParallelRequests":9,
                "retryBudget":{"percent":{"numerator":20}}}}"#,
            "circuitBreaker.retryBudget: is a second budget",
        ),
        (
            r#"{"retry":{"numRetries":2},"retryConstraint":{"mode":"Reserve"},
                "circuitBreaker":{"maxConnections":9,"maxPendingRequests":9,
                "maxParallelRequests":9,"maxParallelRetries":9}}"#,
            "retry.numRetries: has no effect beyond 1",
        ),
        (
            r#"{"timeout":{"http":{"connectionIdleTimeout":"61s"}}}"#,
            "timeout.http.connectionIdleTimeout: is longer than",
        ),
        (
            r#"{"httpUpgrade":[{"type":"websocket"}]}"#,
            "the document: has long-lived connections but no tcpKeepalive",
        ),
        (
            r#"{"healthCheck":{"passive":{"maxEjectionPercent":100}}}"#,
            "healthCheck.passive.maxEjectionPercent: lets Envoy eject every endpoint",
        ),
        (
            r#"{"healthCheck":{"active":{"type":"HTTP","http":{"path":"/"}}}}"#,
            "healthCheck.active.http: has no expectedStatuses",
        ),
        (
            r#"{"circuitBreaker":{"maxConnections":1024,"maxPendingRequests":1}}"#,
            "circuitBreaker: leaves maxConnections, maxParallelRequests at the default",
        ),
        (
            r#"{"targetRefs":[{"kind":"HTTPRoute"}],
                "faultInjection":{"abort":{"grpcStatus":14}}}"#,
            "faultInjection.abort.grpcStatus: aborts plain HTTP requests",
        ),
        (
            r#"{"requestBuffer":{"limit":"1025Ki"}}"#,
            "requestBuffer.limit: lets bodies of 1025Ki pass, but over HTTP/1 Envoy by default buffers 1Mi",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"maxTotal":"1Gi","gatherGrpc":false}}"#,
            "requestBuffer.maxTotal: can be used up",
        ),
        (
            r#"{"requestBuffer":{"limit":1,"maxTotal":"1Gi","maxDuration":"1m"}}"#,
            "requestBuffer.maxDuration: does not apply to gRPC calls",
        ),
        (
            r#"{"compression":[]}"#,
            "compression: is deprecated: write compressor",
        ),
        (
            r#"{"rateLimit":{"type":"Local"}}"#,
            "rateLimit.type: is deprecated",
        ),
    ] {
        let found = advice(spec);
        assert_eq!(found.len(), 1, "{spec}: {found:?}");
        assert!(found[0].starts_with(wanted), "{spec}: {found:?}");
    }
}

#[test]
fn good_policies_are_left_alone() {
    for spec in [
        r#"{"retry":{}}"#,
        r#"{"retry":{"numRetries":2},"retryConstraint":{"budget":{"percent":20}}}"#,
        r#"{"retry":{"retryOn":{"triggers":["5xx","connect-failure"]}}}"#,
        r#"{"faultInjection":{"abort":{"httpStatus":503}}}"#,
        r#"{"requestBuffer":{"limit":"1Mi","maxTotal":"1Gi","maxDuration":"1m","gatherGrpc":true}}"#,
        r#"{"requestBuffer":{"limit":"1Mi","maxDuration":"1m","includeStreams":false}}"#,
        r#"{"requestBuffer":{"limit":"1Ti","mode":"Stream"}}"#,
        r#"{"healthCheck":{"active":{"type":"HTTP","unhealthyThreshold":3,
            "http":{"path":"/","expectedStatuses":[200],"retriableStatuses":[500]}}}}"#,
        r#"{"healthCheck":{"active":{"type":"TCP","unhealthyThreshold":3,"tcp":{}}}}"#,
        r#"{"timeout":{"http":{"connectionIdleTimeout":"30s"}}}"#,
    ] {
        assert_eq!(advice(spec), Vec::<String>::new(), "{spec}");
    }
}

fn by_hand(spec: &str) -> Vec<String> {
    let node = json::parse(spec.as_bytes()).unwrap();
    let mut warnings = Problems::default();
    lint_by_hand(Cursor::root(&node), &mut warnings);
    let found = warnings.into_vec();
    found.iter().map(ToString::to_string).collect()
}

/// Envoy retries no request whose body it does not hold; `btp apply` has routes hold it.
#[test]
fn bodies_that_are_too_large_to_be_retried_are_spoken_of_where_nobody_makes_room() {
    let spec = r#"{"retry":{},"requestBuffer":{"mode":"Stream","limit":"4Mi"}}"#;
    let said = "requestBuffer.limit: lets bodies of 4Mi pass, but over HTTP/1 Envoy by default \
        retries a request only if its body has at most 1Mi: set request_body_buffer_limit of the \
        routes to 4194304, as btp apply does";
    assert_eq!(by_hand(spec), [said]);
    assert!(advice(spec).is_empty(), "{:?}", advice(spec));
    for fine in [
        r#"{"retry":{},"requestBuffer":{"mode":"Stream","limit":"1Mi"}}"#,
        r#"{"retry":{"numRetries":0},"requestBuffer":{"mode":"Stream","limit":"4Mi"}}"#,
        r#"{"retry":{},"requestBuffer":{"limit":"4Mi"}}"#,
        r#"{"requestBuffer":{"mode":"Stream","limit":"4Mi"}}"#,
    ] {
        assert_eq!(by_hand(fine), [""; 0], "{fine}");
    }
}

/// `btp apply` lifts the circuit breaker beside a retry, and a person must do it
/// where there is none or where nobody applies.
#[test]
fn the_default_circuit_breaker_is_spoken_of_where_nobody_lifts_it() {
    let is_said = |found: &[String]| {
        let wanted = "retryConstraint: is limited by Envoy's default circuit breaker";
        found.iter().any(|it| it.starts_with(wanted))
    };
    let alone = r#"{"retryConstraint":{}}"#;
    let both = r#"{"retry":{},"retryConstraint":{}}"#;
    let lifted = r#"{"retry":{},"retryConstraint":{},"circuitBreaker":{"maxParallelRetries":9}}"#;
    assert!(is_said(&advice(alone)) && !is_said(&by_hand(alone)));
    assert!(is_said(&by_hand(both)) && !is_said(&advice(both)));
    assert!(!is_said(&by_hand(lifted)) && !is_said(&advice(lifted)));
}

#[test]
fn limits_of_a_service_are_fixed_windows_and_what_metadata_costs_may_be_nothing() {
    let spec = r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"}},
        {"limit":{"requests":1,"unit":"Day"},"cost":{
            "request":{"from":"Metadata","metadata":{"namespace":"a","key":"b"}},
            "response":{"from":"Metadata","metadata":{"namespace":"a","key":"b"}}}}]}}}"#;
    let found = advice(spec);
    for (found, wanted) in found.iter().zip([
        "rateLimit.global: is counted by a rate limit service (btp apply",
        "rateLimit.global.rules[1].cost.request: is read from dynamic metadata: this rule",
        "rateLimit.global.rules[1].cost.response: is read from dynamic metadata: a response",
    ]) {
        assert!(found.starts_with(wanted), "{found}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
    let local = spec.replacen("\"global\"", "\"type\":\"Local\",\"global\"", 1);
    let fixed = |it: &String| it.contains("rate limit service");
    assert!(!advice(&local).iter().any(fixed));
}

/// Which of these rules let requests without their key pass unlimited.
fn unlimited(local: &str, global: &str) -> Vec<String> {
    let spec = format!(
        r#"{{"rateLimit":{{"local":{{"rules":[{local}]}},"global":{{"rules":[{global}]}}}}}}"#
    );
    let found = advice(&spec).into_iter();
    found
        .filter(|it| it.contains("does not limit requests without"))
        .collect()
}

#[test]
fn requests_without_a_key_are_not_forgotten() {
    let by = |condition: &str| format!(r#"{{"clientSelectors":[{condition}]}}"#);
    let by_key = by(r#"{"headers":[{"name":"x-api-key","type":"Distinct"}]}"#);
    let alone = unlimited(&by_key, "");
    assert_eq!(alone.len(), 1);
    assert!(
        alone[0].starts_with(
            "rateLimit.local.rules[0].clientSelectors[0].headers[0]: does not limit requests \
             without the header x-api-key"
        ),
        "{alone:?}"
    );
    for (list, item) in [
        ("queryParams", r#"{"name":"key","type":"Distinct"}"#),
        (
            "metadata",
            r#"{"namespace":"jwt","path":["sub"],"type":"Distinct"}"#,
        ),
    ] {
        let found = unlimited("", &by(&format!(r#"{{"{list}":[{item}]}}"#)));
        let path =
            format!("rateLimit.global.rules[0].clientSelectors[0].{list}[0]: does not limit");
        assert!(found.len() == 1 && found[0].starts_with(&path), "{found:?}");
    }
    let address = by(r#"{"sourceCIDR":{"type":"Distinct","value":"0.0.0.0/0"}}"#);
    assert_eq!(unlimited(&address, ""), Vec::<String>::new());
}

#[test]
fn another_rule_may_count_requests_without_a_key() {
    let selectors = r#"{"methods":[{"value":"POST"}],"path":{"type":"Exact","value":"/a"}},
        {"headers":[{"name":"x-user","type":"Distinct"}]}"#;
    let rule = format!(r#"{{"clientSelectors":[{selectors}]}}"#);
    for (other, counts) in [
        ("{}", true),
        (r#"{"shadowMode":true}"#, false),
        (
            r#"{"clientSelectors":[{"methods":[{"value":"POST"}]}]}"#,
            true,
        ),
        (
            r#"{"clientSelectors":[{"methods":[{"value":"GET"}]}]}"#,
            false,
        ),
        (
            r#"{"clientSelectors":[{"path":{"value":"/a","type":"Exact"}},
                {"sourceCIDR":{"type":"Distinct","value":"0.0.0.0/0"}}]}"#,
            true,
        ),
        (
            r#"{"clientSelectors":[{"sourceCIDR":{"value":"10.0.0.0/8"}}]}"#,
            false,
        ),
        (
            r#"{"clientSelectors":[{"headers":[{"name":"x-user","value":"a","invert":true}]}]}"#,
            true,
        ),
        (
            r#"{"clientSelectors":[{"headers":[{"name":"x-user","value":"a"}]}]}"#,
            false,
        ),
        (
            r#"{"clientSelectors":[{"headers":[{"name":"x-user","type":"Distinct"}]}]}"#,
            false,
        ),
    ] {
        let of_rule = |found: Vec<String>| {
            let mut of_it = found.iter().filter(|it| it.contains("local.rules[0]"));
            of_it.next().is_some()
        };
        let both = unlimited(&format!("{rule},{other}"), "");
        assert_eq!(of_rule(both), !counts, "{other}");
        assert_eq!(of_rule(unlimited(&rule, other)), !counts, "global {other}");
    }
}

/// What is advised on the addresses that local, and global, rules count.
fn on_addresses(local: &str, global: &str) -> Vec<String> {
    let spec = format!(
        r#"{{"rateLimit":{{"local":{{"rules":[{local}]}},"global":{{"rules":[{global}]}}}}}}"#
    );
    let found = advice(&spec).into_iter();
    let found = found.filter(|it| it.contains(".sourceCIDR: counts "));
    found.collect()
}

fn by_address(condition: &str) -> String {
    format!(r#"{{"clientSelectors":[{{"sourceCIDR":{{{condition}}}}}]}}"#)
}

const EACH_V4: &str = r#""type":"Distinct","value":"0.0.0.0/0""#;
const EACH_V6: &str = r#""type":"Distinct","value":"::/0","prefixLength":64"#;

#[test]
fn a_limit_for_each_address_is_for_both_families() {
    let (four, six) = (by_address(EACH_V4), by_address(EACH_V6));
    let found = on_addresses(&four, "");
    assert_eq!(
        found,
        [
            "rateLimit.local.rules[0].clientSelectors[0].sourceCIDR: counts IPv4 clients only, \
             and no rule counts IPv6 clients: on a dual-stack listener they are not limited. Add a \
             rule with sourceCIDR: {type: Distinct, value: \"::/0\", prefixLength: 64}"
        ]
    );
    let found = on_addresses(&six, "");
    assert!(
        found.len() == 1 && found[0].contains("value: 0.0.0.0/0}"),
        "{found:?}"
    );
    let found = on_addresses("", &four);
    assert!(
        found.len() == 1 && found[0].contains("value: \"::/0\"}"),
        "{found:?}"
    );
    for (other, counts) in [
        (six.as_str(), true),
        ("{}", true),
        (r#"{"shadowMode":true}"#, false),
        (&by_address(r#""value":"::/0""#), true),
        (&by_address(r#""value":"2001:db8::/32""#), false),
        (&by_address(r#""value":"10.0.0.0/8","invert":true"#), true),
        (&by_address(r#""value":"10.0.0.0/8""#), false),
        (
            r#"{"clientSelectors":[{"headers":[{"name":"a","type":"Distinct"}]}]}"#,
            false,
        ),
        (
            r#"{"clientSelectors":[{"headers":[{"name":"a","type":"Distinct","onMissing":"Limit"}]}]}"#,
            true,
        ),
        (
            r#"{"clientSelectors":[{"methods":[{"value":"POST"}]}]}"#,
            false,
        ),
    ] {
        let both = on_addresses(&format!("{four},{other}"), "");
        let of_first = both.iter().filter(|it| it.contains("rules[0]")).count();
        assert_eq!(of_first, usize::from(!counts), "{other}: {both:?}");
    }
    // For a part of the requests the same part must be counted.
    let post = |source: &str| {
        format!(
            r#"{{"clientSelectors":[{{"methods":[{{"value":"POST"}}]}},{{"sourceCIDR":{{{source}}}}}]}}"#
        )
    };
    let both = format!("{},{}", post(EACH_V4), post(EACH_V6));
    assert_eq!(on_addresses(&both, ""), Vec::<String>::new());
    // A network is a network of one family.
    let network = by_address(r#""type":"Distinct","value":"10.0.0.0/8""#);
    assert_eq!(on_addresses(&network, ""), Vec::<String>::new());
    let part = format!(
        r#"{{"clientSelectors":[{{"sourceCIDR":{{"value":"10.0.0.0/8"}}}},{{"sourceCIDR":{{{EACH_V4}}}}}]}}"#
    );
    assert_eq!(on_addresses(&part, ""), Vec::<String>::new());
}

#[test]
fn one_client_of_ipv6_is_one_client() {
    for (source, is_advised) in [
        (r#""type":"Distinct","value":"2001:db8::/32""#, true),
        (
            r#""type":"Distinct","value":"2001:db8::/32","prefixLength":65"#,
            true,
        ),
        (
            r#""type":"Distinct","value":"2001:db8::/32","prefixLength":64"#,
            false,
        ),
        (
            r#""type":"Distinct","value":"2001:db8::/32","prefixLength":56"#,
            false,
        ),
        // These are addresses of one network.
        (r#""type":"Distinct","value":"2001:db8::/64""#, false),
        (r#""type":"Distinct","value":"10.0.0.0/8""#, false),
        (r#""value":"2001:db8::/32""#, false),
        (
            r#""type":"Distinct","value":"2001:db8::/32","invert":true"#,
            false,
        ),
    ] {
        let found = on_addresses(&by_address(source), "");
        assert_eq!(found.len(), usize::from(is_advised), "{source}: {found:?}");
        assert!(found.iter().all(|it| it.contains("set prefixLength: 64")));
        assert_eq!(on_addresses("", &by_address(source)), Vec::<String>::new());
    }
}

#[test]
fn keys_that_may_be_missing_leave_no_hole() {
    let rule = |on_missing: &str| {
        format!(
            r#"{{"clientSelectors":[{{"headers":[{{"name":"x-user","type":"Distinct"{on_missing}}}]}}]}}"#
        )
    };
    let (exempt, limit) = (rule(""), rule(r#","onMissing":"Limit""#));
    let found = unlimited(&exempt, "");
    assert!(found[0].contains("set onMissing: Limit"), "{found:?}");
    assert!(!unlimited("", &exempt)[0].contains("onMissing"));
    for sound in [&limit, &rule(r#","onMissing":"Refuse""#)] {
        assert_eq!(unlimited(sound, ""), Vec::<String>::new());
        // It counts what another rule leaves out.
        assert_eq!(
            unlimited(&format!("{exempt},{sound}"), ""),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_class_that_reserves_more_than_one_before_it_is_against_the_order() {
    let larger = |shares: &[&str]| {
        let class = |(place, share): (usize, &&str)| {
            let reserved = match *share {
                "" => String::new(),
                share => format!(r#""reserved":"{share}","#),
            };
            format!(r#"{{{reserved}"name":"c{place}","clientSelectors":[{{"path":{{}}}}]}}"#)
        };
        let classes: Vec<String> = shares.iter().enumerate().map(class).collect();
        let classes = classes.join(",");
        let found = advice(&format!(
            r#"{{"rateLimit":{{"local":{{"rules":[
                {{"concurrency":{{"max":100,"classes":[{classes}]}}}}]}}}}}}"#
        ));
        let found = found.into_iter();
        let found = found.filter(|it| it.contains("is refused first"));
        found.collect::<Vec<String>>()
    };
    for fine in [
        &["20%", "10%", ""][..],
        &["20%", "20%"],
        &["", "0%"],
        &["5%"],
    ] {
        assert!(larger(fine).is_empty(), "{fine:?}");
    }
    let found = larger(&["10%", "20%", "", "5%"]);
    assert_eq!(found.len(), 2, "{found:?}");
    let classes = "rateLimit.local.rules[0].concurrency.classes";
    assert_eq!(
        found[0],
        format!(
            "{classes}[1].reserved: is more than the earlier class c0 has (10%), so c0 is refused \
             first: put this class before it, or reserve at least as much for c0"
        )
    );
    assert!(found[1].starts_with(&format!(
        "{classes}[3].reserved: is more than the earlier class c2"
    )));
}
