//! `bandwidthLimit` and `telemetry`: what is slowed, counted and traced.

use super::*;
use btp_policy::scalar::ObjectName;

/// The route and the filters that come of a policy `team/slow.down`.
fn of_policy(spec: &str, filters: &str) -> (String, String) {
    let name = ObjectName {
        namespace: "team".to_owned(),
        name: "slow.down".to_owned(),
    };
    let context = Context {
        policy: Some(&name),
        namespace: Some("team"),
        ..Context::default()
    };
    let changes = translate(&parse(spec), &context).unwrap();
    (
        perform(r#"{"name":"shop","route":{}}"#, Target::Route, &changes),
        perform(filters, Target::HttpConnectionManager, &changes),
    )
}

#[test]
fn bandwidth_is_limited_behind_limits_and_in_front_of_compressors() {
    const TYPE: &str =
        "type.googleapis.com/envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit";
    let spec = r#"{"bandwidthLimit":{
        "request":{"limit":{"value":"3Mi","unit":"Minute"}},
        "response":{"limit":{"value":2047,"unit":"Second"},"responseTrailers":{"prefix":"x-lobby"}}}}"#;
    let filters = r#"{"http_filters":[{"name":"envoy.filters.http.lua"},
        {"name":"envoy.filters.http.compressor"},{"name":"envoy.filters.http.router"}]}"#;
    let (route, filters) = of_policy(spec, filters);
    let expected = format!(
        r#"{{"name":"shop","route":{{}},"typed_per_filter_config":{{
        "btp.bandwidth_limit.request":{{"@type":"{TYPE}","stat_prefix":"btp.team.slow.down",
            "enable_mode":"REQUEST","limit_kbps":51}},
        "btp.bandwidth_limit.response":{{"@type":"{TYPE}","stat_prefix":"btp.team.slow.down",
            "enable_mode":"RESPONSE","limit_kbps":1,"enable_response_trailers":true,
            "response_trailer_prefix":"x-lobby"}}}}}}"#
    );
    assert_eq!(route, serde_json::to_string(&parse(&expected)).unwrap());
    let filters = parse(&filters);
    let list = crate::envoy::tree::items(&filters, "http_filters");
    let names: Vec<_> = list
        .iter()
        .map(|it| it.field("name").and_then(Node::as_str).unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "envoy.filters.http.lua",
            "btp.bandwidth_limit.response",
            "btp.bandwidth_limit.request",
            "envoy.filters.http.compressor",
            "envoy.filters.http.router"
        ]
    );
}

#[test]
fn a_route_is_counted_under_its_name_and_traced() {
    let spec = r#"{"telemetry":{"metrics":{"routeStatName":"%ROUTE_NAMESPACE%.%ROUTE_NAME%"},
        "tracing":{"samplingFraction":{"numerator":5,"denominator":1000},
            "spanName":{"client":"in %REQ(:METHOD)%","server":"out"},
            "tags":{"b":"%PROTOCOL%","a":"1"},
            "customTags":{"b":{"type":"Literal","literal":{"value":"lost"}},
                "c":{"type":"RequestHeader","requestHeader":{"name":"x-c","defaultValue":"-"}},
                "d":{"type":"Environment","environment":{"name":"HOME"}}}}}}"#;
    let (route, _) = of_policy(spec, "{}");
    let expected = r#"{"name":"shop","route":{},"stat_prefix":"team.shop","tracing":{
        "client_sampling":{"numerator":0,"denominator":"HUNDRED"},
        "random_sampling":{"numerator":50,"denominator":"TEN_THOUSAND"},
        "custom_tags":[{"tag":"a","value":"1"},{"tag":"b","value":"%PROTOCOL%"},
            {"tag":"c","request_header":{"name":"x-c","default_value":"-"}},
            {"tag":"d","environment":{"name":"HOME"}}],
        "operation":"in %REQ(:METHOD)%","upstream_operation":"out"}}"#;
    assert_eq!(route, serde_json::to_string(&parse(expected)).unwrap());
}
