//! The fields that Envoy enforces itself: their table, and what the CRD
//! lets through and Envoy Gateway or Envoy refuses later.

use crate::code::Code;
use crate::native::GlobalRule;
use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::At;
use crate::regex::Regexes;
use crate::scalar::{Duration, Quantity};
use crate::spec::{Owner, owner_of};

use super::walk::{Profile, check, check_fields, check_rules};
use super::{Check, SPEC, Shape};

/// Notes everything that is wrong with the native fields of a `spec`.
pub fn check_native(spec: At<'_>, problems: &mut Problems) {
    let native = |name: &str| owner_of(name) == Some(Owner::Envoy);
    check_fields(spec, &SPEC, Profile::Btp, |it| native(it.name), problems);
    check_rules(spec, &SPEC, problems);
    check_global_limits(spec, problems);
    for (path, check) in CHECKS.iter().chain(super::envoy::CHECKS) {
        at_path(spec, path, problems, *check);
    }
}

const BYTES: Check = |at, problems| quantity(at, 0, u64::from(u32::MAX), problems);
const WINDOW: Check = |at, problems| quantity(at, 65_535, 2_147_483_647, problems);
const UINT32: Check = |at, problems| integer(at, 0, i64::from(u32::MAX), problems);
const WEIGHT: Check = |at, problems| integer(at, 1, i64::from(u32::MAX), problems);
const POSITIVE: Check = |at, problems| {
    Duration::read_positive(at, problems);
};

/// What is checked beyond the table; `*` is any item of a list.
const CHECKS: &[(&[&str], Check)] = &[
    (&["routingType"], |at, problems| {
        at.choice(&[("Service", ()), ("Endpoint", ())], problems);
    }),
    (&["http2", "onInvalidMessage"], |at, problems| {
        let choices = [("TerminateConnection", ()), ("TerminateStream", ())];
        at.choice(&choices, problems);
    }),
    (&["http2", "initialStreamWindowSize"], WINDOW),
    (&["http2", "initialConnectionWindowSize"], WINDOW),
    (&["connection", "bufferLimit"], BYTES),
    (&["compression", "*", "minContentLength"], BYTES),
    (&["compressor", "*", "minContentLength"], BYTES),
    (&["bandwidthLimit", "request", "limit"], bandwidth),
    (&["bandwidthLimit", "response", "limit"], bandwidth),
    (&["tcpKeepalive", "idleTime"], whole_seconds),
    (&["tcpKeepalive", "interval"], whole_seconds),
    (&["tcpKeepalive", "probes"], UINT32),
    (
        &["circuitBreaker", "retryBudget", "minRetryConcurrency"],
        UINT32,
    ),
    (&["healthCheck", "active", "interval"], POSITIVE),
    (&["healthCheck", "active", "timeout"], POSITIVE),
    (&["healthCheck", "passive", "interval"], POSITIVE),
    (&["healthCheck", "passive", "baseEjectionTime"], POSITIVE),
    (&["healthCheck", "passive", "consecutive5XxErrors"], UINT32),
    (
        &["healthCheck", "passive", "consecutiveGatewayErrors"],
        UINT32,
    ),
    (
        &["healthCheck", "passive", "consecutiveLocalOriginFailures"],
        UINT32,
    ),
    (&["loadBalancer", "consistentHash", "tableSize"], prime),
    (&["loadBalancer", "slowStart", "window"], POSITIVE),
    (
        &["loadBalancer", "zoneAware", "weightedZones", "*", "weight"],
        WEIGHT,
    ),
    (&["healthCheck", "active", "healthyThreshold"], UINT32),
    (&["healthCheck", "active", "unhealthyThreshold"], UINT32),
    (
        &[
            "loadBalancer",
            "backendUtilization",
            "errorUtilizationPenaltyPercent",
        ],
        UINT32,
    ),
    (
        &[
            "loadBalancer",
            "zoneAware",
            "preferLocal",
            "minEndpointsThreshold",
        ],
        UINT32,
    ),
    (
        &[
            "loadBalancer",
            "zoneAware",
            "preferLocal",
            "force",
            "minEndpointsInZoneThreshold",
        ],
        UINT32,
    ),
    (&["telemetry", "metrics", "routeStatName"], stat_name),
    (&["timeout", "tcp", "connectTimeout"], POSITIVE),
    (&["dns", "dnsRefreshRate"], POSITIVE),
];

/// Runs `check` on what stands at `path`. What is of the wrong type there
/// has been noted already and is passed over.
fn at_path(at: At<'_>, path: &[&str], problems: &mut Problems, check: Check) {
    match path {
        [] => {
            let mut found = Problems::default();
            check(at, &mut found);
            if found.is_empty() {
                return;
            }
            let known = problems.paths();
            for problem in found.into_vec() {
                if !known.contains(&problem.path) {
                    problems.push(problem);
                }
            }
        }
        ["*", rest @ ..] => {
            if let Value::List(nodes) = &at.node.value {
                for (index, node) in nodes.iter().enumerate() {
                    let path = Path::Item(&at.path, index);
                    at_path(At { node, path }, rest, problems, check);
                }
            }
        }
        [name, rest @ ..] => {
            if let Some(node) = at.node.field(name) {
                let path = Path::Field(&at.path, name);
                at_path(At { node, path }, rest, problems, check);
            }
        }
    }
}

fn integer(at: At<'_>, least: i64, most: i64, problems: &mut Problems) {
    at.integer(least..=most, problems);
}

fn quantity(at: At<'_>, least: u64, most: u64, problems: &mut Problems) {
    if let Some(quantity) = Quantity::read(at, problems)
        && !(least..=most).contains(&quantity.get())
    {
        at.refuse(
            problems,
            Code::QuantityOutOfBounds,
            format!("must be between {least} and {most}"),
        );
    }
}

/// Envoy counts in whole KiB per second.
fn bandwidth(at: At<'_>, problems: &mut Problems) {
    let seconds = match at.node.field("unit").and_then(Node::as_str) {
        Some("Minute") => 60,
        Some("Hour") => 3_600,
        _ => 1,
    };
    let Some(node) = at.node.field("value") else {
        return;
    };
    let path = Path::Field(&at.path, "value");
    let at = At { node, path };
    if let Some(value) = Quantity::read(at, problems)
        && value.get() < seconds * 1024
    {
        at.refuse(
            problems,
            Code::QuantityOutOfBounds,
            "must be at least 1 KiB per second: Envoy counts in those",
        );
    }
}

fn whole_seconds(at: At<'_>, problems: &mut Problems) {
    if let Some(duration) = Duration::read(at, problems)
        && !duration.as_nanos().is_multiple_of(1_000_000_000)
    {
        at.refuse(
            problems,
            Code::PartOfSecond,
            "must be whole seconds: the operating system counts in those",
        );
    }
}

fn prime(at: At<'_>, problems: &mut Problems) {
    let Some(size) = at.integer(2..=5_000_011, problems) else {
        return;
    };
    let divisors = (2..).take_while(|divisor| divisor * divisor <= size);
    if let Some(divisor) = divisors.into_iter().find(|divisor| size % divisor == 0) {
        at.refuse(
            problems,
            Code::NotPrime,
            format!("must be a prime number: {divisor} divides it"),
        );
    }
}

fn stat_name(at: At<'_>, problems: &mut Problems) {
    const KNOWN: [&str; 4] = [
        "ROUTE_NAME",
        "ROUTE_NAMESPACE",
        "ROUTE_KIND",
        "ROUTE_RULE_NAME",
    ];
    let Some(text) = at.string(problems) else {
        return;
    };
    let mut pieces = text.split('%').skip(1);
    while let Some(operator) = pieces.next() {
        let is_closed = pieces.next().is_some();
        if !is_closed || !KNOWN.contains(&operator) {
            let known = KNOWN.map(|name| format!("%{name}%")).join(", ");
            at.refuse(
                problems,
                Code::UnknownOperator,
                format!("must have no other operators than {known}"),
            );
            return;
        }
    }
}

/// `rateLimit.global`, of which the CRD sees the shape only.
fn check_global_limits(spec: At<'_>, problems: &mut Problems) {
    let Some(limits) = spec.node.field("rateLimit") else {
        return;
    };
    let Some(node) = limits.field("global") else {
        return;
    };
    let limits = Path::Field(&spec.path, "rateLimit");
    let path = Path::Field(&limits, "global");
    let at = At { node, path };
    let before = problems.len();
    check(at, &GLOBAL, Profile::Btp, problems);
    if problems.len() > before {
        return;
    }
    GlobalRule::read_all(at, &Regexes::default(), problems);
}

const GLOBAL: Shape = Shape::Object(&super::limits::GLOBAL);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn found(spec: &str) -> Vec<String> {
        let node = json::parse(spec.as_bytes()).unwrap();
        let mut problems = Problems::default();
        check_native(At::root(&node), &mut problems);
        let found = problems.into_vec();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_envoy_gateway_finds_later_is_found_at_once() {
        for (spec, line) in [
            (
                r#"{"loadBalancer":{"type":"ConsistentHash",
                    "consistentHash":{"type":"SourceIP","tableSize":65536}}}"#,
                "loadBalancer.consistentHash.tableSize: must be a prime number: \
                 2 divides it (got 65536)",
            ),
            (
                r#"{"http2":{"initialStreamWindowSize":"1Ki"}}"#,
                "http2.initialStreamWindowSize: must be between 65535 and 2147483647 \
                 (got \"1Ki\")",
            ),
            (
                r#"{"bandwidthLimit":{"request":{"limit":{"value":"1k","unit":"Second"}}}}"#,
                "bandwidthLimit.request.limit.value: must be at least 1 KiB per second: \
                 Envoy counts in those (got \"1k\")",
            ),
            (
                r#"{"tcpKeepalive":{"idleTime":"500ms"}}"#,
                "tcpKeepalive.idleTime: must be whole seconds: the operating system counts \
                 in those (got \"500ms\")",
            ),
            (
                r#"{"routingType":"service"}"#,
                "routingType: must be one of Service, Endpoint; did you mean \"Service\"? \
                 (got \"service\")",
            ),
            (
                r#"{"telemetry":{"metrics":{"routeStatName":"%ROUTE_NAME%_%FOO%"}}}"#,
                "telemetry.metrics.routeStatName: must have no other operators than \
                 %ROUTE_NAME%, %ROUTE_NAMESPACE%, %ROUTE_KIND%, %ROUTE_RULE_NAME% \
                 (got \"%ROUTE_NAME%_%FOO%\")",
            ),
            (
                r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                    "clientSelectors":[{"sourceCIDR":{"value":"nowhere"}}]}]}}}"#,
                "rateLimit.global.rules[0].clientSelectors[0].sourceCIDR.value: must be an \
                 address range such as 10.0.0.0/8, 10.0.0.1/32 or 2001:db8::/32 (got \"nowhere\")",
            ),
            (
                r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                    "clientSelectors":[{"metadata":[{"type":"Distinct","namespace":"a","path":["b"]}]}]}]}}}"#,
                "rateLimit.global.rules[0].clientSelectors: must not have metadata: only the \
                 filter's own limits (rateLimit.local) know conditions on it. Have the filter \
                 that writes it write a header, too, and name that (got a list of 1)",
            ),
            (
                r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                    "cost":{"request":{"from":"Metadata","number":1}}}]}}}"#,
                "rateLimit.global.rules[0].cost.request.number: must be left out: from names \
                 the other one (got 1)",
            ),
            (
                r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                    "cost":{"response":{"from":"Number","number":-1}}}]}}}"#,
                "rateLimit.global.rules[0].cost.response.number: must be between 0 and \
                 1000000000 (got -1)",
            ),
            (
                r#"{"rateLimit":{"global":{"rules":[{"limit":{"requests":1,"unit":"Day"},
                    "cost":{"request":{"from":"Metadata","metadata":{"namespace":"a","key":"b)"}}}}]}}}"#,
                "rateLimit.global.rules[0].cost.request.metadata.key: must have no :, ), % or \
                 control characters, which Envoy cannot be asked for here: have the filter that \
                 writes the cost write it under another name (got \"b)\")",
            ),
            (
                r#"{"compressor":[{"type":"Gzip","minContentLength":"8Gi"}]}"#,
                "compressor[0].minContentLength: must be between 0 and 4294967295 \
                 (got \"8Gi\")",
            ),
        ] {
            assert_eq!(found(spec), [line]);
        }
    }

    #[test]
    fn one_mistake_is_one_problem() {
        assert_eq!(found(r#"{"tcpKeepalive":{"idleTime":5}}"#).len(), 1);
        assert_eq!(
            found(r#"{"timeout":{"http":{"requesTimeout":"5s"}}}"#).len(),
            1
        );
    }

    #[test]
    fn what_the_filter_enforces_is_not_looked_into() {
        assert!(found(r#"{"faultInjection":5,"rateLimit":{"local":7}}"#).is_empty());
    }
}
