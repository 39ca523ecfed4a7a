//! What a change says it did.

use super::*;
use crate::envoy::json::node;
use btp_policy::json;
use proptest::prelude::*;

fn change(target: Target, path: &str, operation: Operation) -> Change {
    Change {
        field: "spec.field".to_owned(),
        also: Vec::new(),
        target,
        path: path.into(),
        operation,
    }
}

fn performed(
    object: &str,
    path: &str,
    operation: Operation,
) -> (Result<Outcome, ChangeError>, String) {
    let mut object = json::parse(object.as_bytes()).unwrap();
    let outcome = apply_change(&mut object, &change(Target::Cluster, path, operation));
    (outcome, serde_json::to_string(&object).unwrap())
}

fn gave_way(path: &str, was: i32) -> Outcome {
    Outcome::Replaced(vec![Replaced {
        path: path.to_owned(),
        was: node!(was),
    }])
}

/// What a cluster says of the values that a spec replaced.
fn lines(cluster: &str, spec: &str) -> Vec<String> {
    let spec = json::parse(spec.as_bytes()).unwrap();
    let mut cluster = json::parse(cluster.as_bytes()).unwrap();
    let changes = crate::translate::translate(&spec, &Default::default()).unwrap();
    let on_cluster = changes.iter().filter(|it| it.target == Target::Cluster);
    let mut lines = Vec::new();
    for change in on_cluster {
        if let Outcome::Replaced(values) = apply_change(&mut cluster, change).unwrap() {
            lines.extend(values.iter().map(ToString::to_string));
        }
    }
    lines
}

#[test]
fn a_change_says_what_it_did() {
    let set = || Operation::Set(node!(2));
    let (outcome, object) = performed(r#"{"z":1}"#, "a_b.c", set());
    assert_eq!(
        (outcome, object.as_str()),
        (Ok(Outcome::Added), r#"{"z":1,"a_b":{"c":2}}"#)
    );
    let (outcome, object) = performed(r#"{"aB":{"c":1},"z":1}"#, "a_b.c", set());
    assert_eq!(outcome, Ok(gave_way("a_b.c", 1)));
    assert_eq!(object, r#"{"aB":{"c":2},"z":1}"#);
    let (outcome, _) = performed(r#"{"aB":{"c":2}}"#, "a_b.c", set());
    assert_eq!(outcome, Ok(Outcome::Present));
}

#[test]
fn null_is_nothing() {
    let (outcome, object) = performed(r#"{"a":null}"#, "a.b", Operation::Default(node!(1)));
    assert_eq!(
        (outcome, object.as_str()),
        (Ok(Outcome::Added), r#"{"a":{"b":1}}"#)
    );
    let (outcome, _) = performed(r#"{"a":null}"#, "a", Operation::Require("must be there"));
    assert_eq!(outcome, Err(ChangeError::Refused("must be there")));
}

#[test]
fn removing_leaves_no_trace() {
    let (outcome, object) = performed(r#"{"a":{"b":1},"c":2}"#, "a.b", Operation::Remove);
    assert_eq!(outcome, Ok(gave_way("a.b", 1)));
    assert_eq!(object, r#"{"a":{},"c":2}"#);
    let (outcome, object) = performed("{}", "a.b", Operation::Remove);
    assert_eq!((outcome, object.as_str()), (Ok(Outcome::Nothing), "{}"));
}

#[test]
fn what_is_no_object_is_said_to_be_none() {
    let (outcome, object) = performed(r#"{"a":"text"}"#, "a.b", Operation::Set(node!(1)));
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("must be an object")
    );
    assert_eq!(object, r#"{"a":"text"}"#);
    let (outcome, _) = performed(r#"{"a":{}}"#, "a.*.b", Operation::Set(node!(1)));
    assert_eq!(outcome, Err(ChangeError::NoList));
}

#[test]
fn a_filter_stands_once_and_before_the_router() {
    let filter = |number: i32| {
        Operation::HttpFilter(
            node!({ "name": "f", "n": number }),
            FilterPlace::BeforeRouter,
        )
    };
    let path = "http_filters";
    let (outcome, object) = performed(r#"{"http_filters":[{"name":"r"}]}"#, path, filter(1));
    assert_eq!(
        object,
        r#"{"http_filters":[{"name":"f","n":1},{"name":"r"}]}"#
    );
    assert_eq!(outcome, Ok(Outcome::Added));
    let (outcome, again) = performed(&object, path, filter(1));
    assert_eq!((outcome, &again), (Ok(Outcome::Present), &object));
    let (_, changed) = performed(&object, path, filter(2));
    assert_eq!(
        changed,
        r#"{"http_filters":[{"name":"f","n":2},{"name":"r"}]}"#
    );
}

#[test]
fn paths_print_as_people_write_them() {
    let path = Path::from("circuit_breakers.thresholds").then(Step::Item {
        key: "priority",
        value: "DEFAULT",
        is_default: true,
    });
    let path = path.then(Step::Field("max_retries".to_owned()));
    assert_eq!(
        path.to_string(),
        "circuit_breakers.thresholds[DEFAULT].max_retries"
    );
    let path = Path::from("load_assignment.endpoints.*.lb_endpoints");
    assert_eq!(path.to_string(), "load_assignment.endpoints[].lb_endpoints");
}

const BREAKER: &str = r#"{"circuitBreaker":{"maxConnections":8,
    "retryBudget":{"percent":{"numerator":20},"minRetryConcurrency":3}}}"#;

#[test]
fn a_value_that_is_kept_did_not_give_way() {
    // In another order, and beside a field that the policy does not name.
    let cluster = r#"{"circuit_breakers":{"thresholds":[{"max_connections":7,"retry_budget":
        {"min_retry_concurrency":3,"budget_percent":{"value":20},"later":1}}]}}"#;
    assert_eq!(
        lines(cluster, BREAKER),
        ["circuit_breakers.thresholds[DEFAULT].max_connections (was 7)"]
    );
}

#[test]
fn a_value_gives_way_under_its_json_name_too() {
    let cluster = r#"{"circuitBreakers":{"thresholds":[{"maxConnections":7,"retryBudget":
        {"minRetryConcurrency":2}}]}}"#;
    assert_eq!(
        lines(cluster, BREAKER),
        [
            "circuit_breakers.thresholds[DEFAULT].maxConnections (was 7)",
            "circuit_breakers.thresholds[DEFAULT].retryBudget.minRetryConcurrency (was 2)"
        ]
    );
}

#[test]
fn a_value_that_is_moved_or_wrapped_did_not_give_way() {
    let cluster = r#"{"http2_protocol_options":{"hpack_table_size":1,"max_concurrent_streams":5},
        "commonHttpProtocolOptions":{"idle_timeout":"9s","max_headers_count":2},
        "transport_socket":{"name":"tls"},
        "load_assignment":{"endpoints":[{"lb_endpoints":[]}]}}"#;
    let spec = r#"{"http2":{"maxConcurrentStreams":6},"proxyProtocol":{"version":"V1"},
        "timeout":{"http":{"connectionIdleTimeout":"1s"}},
        "loadBalancer":{"type":"RoundRobin","zoneAware":{"weightedZones":[{"zone":"a","weight":2}]}}}"#;
    assert_eq!(
        lines(cluster, spec),
        [
            "http2_protocol_options.max_concurrent_streams (was 5)",
            r#"HttpProtocolOptions.common_http_protocol_options.idle_timeout (was "9s")"#
        ]
    );
}

#[test]
fn a_protocol_gives_way_to_the_clients() {
    let spec = r#"{"useClientProtocol":true}"#;
    assert_eq!(lines("{}", spec), [""; 0]);
    let own = r#"{"http2ProtocolOptions":{}}"#;
    assert_eq!(lines(own, spec), ["http2_protocol_options (was {})"]);
    let explicit = r#"{"typed_extension_protocol_options":{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
        {"explicit_http_config":{"http_protocol_options":{}}}}}"#;
    assert_eq!(
        lines(explicit, spec),
        [r#"HttpProtocolOptions.explicit_http_config (was {"http_protocol_options":{}})"#]
    );
}

#[test]
fn what_is_inside_a_wrapper_gives_way_by_itself() {
    let cluster = r#"{"type":"STRICT_DNS","dnsRefreshRate":"1s","respect_dns_ttl":true,
        "load_assignment":{"endpoints":[{"locality":{"zone":"a"},"load_balancing_weight":3}]},
        "transport_socket":{"typed_config":{"@type":"x/a.ProxyProtocolUpstreamTransport",
            "config":{"version":"V2"},"transport_socket":{"name":"tls"}}}}"#;
    let spec = r#"{"dns":{},"proxyProtocol":{"version":"V1"},
        "loadBalancer":{"type":"RoundRobin","zoneAware":{"weightedZones":[{"zone":"a","weight":2}]}}}"#;
    assert_eq!(
        lines(cluster, spec),
        [
            r#"dnsRefreshRate (was "1s")"#,
            r#"transport_socket.typed_config.config.version (was "V2")"#,
            "load_assignment.endpoints[].load_balancing_weight (was 3)"
        ]
    );
}

/// Any JSON, with the keys that changes look for in it.
fn any_object() -> impl Strategy<Value = String> {
    const KEYS: [&str; 16] = [
        "circuit_breakers",
        "thresholds",
        "priority",
        "load_assignment",
        "endpoints",
        "lb_endpoints",
        "endpoint",
        "typed_extension_protocol_options",
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config",
        "http2ProtocolOptions",
        "transportSocket",
        "transport_socket_matches",
        "typed_config",
        "cluster_type",
        "route",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("7".to_owned()),
        Just(r#""STRICT_DNS""#.to_owned()),
        Just("{}".to_owned()),
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        let field = (prop::sample::select(&KEYS), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..4).prop_map(|fields| {
                let fields = fields
                    .iter()
                    .map(|(key, value)| format!(r#""{key}":{value}"#));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

const EVERYTHING: &str = r#"{"retry":{},"useClientProtocol":true,"http2":{},"dns":{},
    "circuitBreaker":{"perEndpoint":{},"maxRequestsPerConnection":1},"connection":{},
    "proxyProtocol":{"version":"V1"},"tcpKeepalive":{},"compressor":[{"type":"Gzip"}],
    "httpUpgrade":[{"type":"websocket"}],"timeout":{"tcp":{},"http":{"requestTimeout":"1s"}},
    "healthCheck":{"panicThreshold":1,"passive":{},"active":{"type":"HTTP","http":{"path":"/"}}},
    "loadBalancer":{"type":"RoundRobin"}}"#;
/// What belongs to endpoints, and is refused without any.
const OF_ENDPOINTS: &str = r#"{"healthCheck":{"active":{"type":"TCP","tcp":{},"overrides":{"port":1}}},
    "loadBalancer":{"type":"RoundRobin","zoneAware":{"weightedZones":[{"zone":"a","weight":2}]}}}"#;

proptest! {
    #[test]
    fn whatever_a_configuration_looks_like_a_change_is_made_once(
        object in any_object(),
        spec in prop::sample::select(&[EVERYTHING, OF_ENDPOINTS]),
    ) {
        let spec = json::parse(spec.as_bytes()).unwrap();
        let changes = crate::translate::translate(&spec, &Default::default()).unwrap();
        let mut object = json::parse(object.as_bytes()).unwrap();
        let mut refused = Vec::new();
        for change in &changes {
            refused.push(apply_change(&mut object, change).is_err());
        }
        if !refused.contains(&true) {
            let once = object.clone();
            for change in &changes {
                prop_assert!(apply_change(&mut object, change).is_ok());
            }
            prop_assert_eq!(once, object);
        }
    }
}
