//! What a change says it did.

use super::*;
use crate::translate::tree::node;
use btp_policy::json;
use proptest::prelude::*;

fn change(place: Place, path: &str, how: How) -> Change {
    Change {
        field: "spec.field".to_owned(),
        place,
        path: path.into(),
        how,
    }
}

fn performed(object: &str, path: &str, how: How) -> (Result<Outcome, String>, String) {
    let mut object = json::parse(object.as_bytes()).unwrap();
    let outcome = apply_change(&mut object, &change(Place::Cluster, path, how));
    (outcome, serde_json::to_string(&object).unwrap())
}

#[test]
fn a_change_says_what_it_did() {
    let set = || How::Set(node!(2));
    let (outcome, object) = performed(r#"{"z":1}"#, "a_b.c", set());
    assert_eq!(
        (outcome, object.as_str()),
        (Ok(Outcome::Added), r#"{"z":1,"a_b":{"c":2}}"#)
    );
    let (outcome, object) = performed(r#"{"aB":{"c":1},"z":1}"#, "a_b.c", set());
    assert_eq!(outcome, Ok(Outcome::Replaced(vec![node!(1)])));
    assert_eq!(object, r#"{"aB":{"c":2},"z":1}"#);
    let (outcome, _) = performed(r#"{"aB":{"c":2}}"#, "a_b.c", set());
    assert_eq!(outcome, Ok(Outcome::Same));
}

#[test]
fn null_is_nothing() {
    let (outcome, object) = performed(r#"{"a":null}"#, "a.b", How::Default(node!(1)));
    assert_eq!(
        (outcome, object.as_str()),
        (Ok(Outcome::Added), r#"{"a":{"b":1}}"#)
    );
    let (outcome, _) = performed(r#"{"a":null}"#, "a", How::Require("must be there"));
    assert_eq!(outcome, Err("must be there".to_owned()));
}

#[test]
fn removing_leaves_no_trace() {
    let (outcome, object) = performed(r#"{"a":{"b":1},"c":2}"#, "a.b", How::Remove);
    assert_eq!(outcome, Ok(Outcome::Replaced(vec![node!(1)])));
    assert_eq!(object, r#"{"a":{},"c":2}"#);
    let (outcome, object) = performed("{}", "a.b", How::Remove);
    assert_eq!((outcome, object.as_str()), (Ok(Outcome::Same), "{}"));
}

#[test]
fn what_is_no_object_is_said_to_be_none() {
    let (outcome, object) = performed(r#"{"a":"text"}"#, "a.b", How::Set(node!(1)));
    assert!(outcome.unwrap_err().contains("must be an object"));
    assert_eq!(object, r#"{"a":"text"}"#);
    let (outcome, _) = performed(r#"{"a":{}}"#, "a.*.b", How::Set(node!(1)));
    assert_eq!(outcome, Err("must be a list".to_owned()));
}

#[test]
fn a_filter_stands_once_and_before_the_router() {
    let filter = |number: i32| How::HttpFilter(node!({ "name": "f", "n": number }));
    let path = "http_filters";
    let (outcome, object) = performed(r#"{"http_filters":[{"name":"r"}]}"#, path, filter(1));
    assert_eq!(
        object,
        r#"{"http_filters":[{"name":"f","n":1},{"name":"r"}]}"#
    );
    assert!(matches!(outcome, Ok(Outcome::Replaced(_))));
    let (outcome, again) = performed(&object, path, filter(1));
    assert_eq!((outcome, &again), (Ok(Outcome::Same), &object));
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
