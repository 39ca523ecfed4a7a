//! `timeout`, `tcpKeepalive`, `connection`, `dns`, `http2`, `proxyProtocol`,
//! `useClientProtocol`.

use super::*;

const NAME: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

fn options(fields: &str) -> String {
    format!(
        r#"{{"typed_extension_protocol_options":{{"{NAME}":{{
        "@type":"type.googleapis.com/{NAME}",{fields}}}}}}}"#
    )
}

/// What a policy makes of this cluster.
#[track_caller]
fn check_cluster(spec: &str, cluster: &str, expected: &str) {
    let changes = translate(&parse(spec), &Context::default()).unwrap();
    let expected = serde_json::to_string(&parse(expected)).unwrap();
    assert_eq!(perform(cluster, Target::Cluster, &changes), expected);
}

#[test]
fn timeouts_are_the_routes_and_the_connections() {
    let cluster = options(
        r#""explicit_http_config":{"http_protocol_options":{}},
        "common_http_protocol_options":{"max_stream_duration":"18s","idle_timeout":"60s",
        "max_connection_duration":"7200s"}"#,
    );
    check(
        r#"{"timeout":{"tcp":{"connectTimeout":"15s"},"http":{"connectionIdleTimeout":"1m",
            "maxConnectionDuration":"2h","maxStreamDuration":"18s","requestTimeout":"10s",
            "streamIdleTimeout":"0s"}}}"#,
        &cluster.replacen('{', r#"{"connect_timeout":"15s","#, 1),
        r#"{"route":{"timeout":"10s","idle_timeout":"0s"}}"#,
    );
}

#[test]
fn envoy_heeds_the_request_timeout_beside_a_stream_duration() {
    // It ignores `timeout` as soon as this object is there, whatever is in it.
    for old in [
        r#"{"max_stream_duration":"1h"}"#,
        r#"{"grpc_timeout_header_max":"1s"}"#,
    ] {
        let route = format!(r#"{{"route":{{"max_stream_duration":{old}}}}}"#);
        for (field, expected) in [
            (
                "requestTimeout",
                r#"{"route":{"timeout":"10s","idle_timeout":"3600s"}}"#,
            ),
            ("maxStreamDuration", ROUTE),
        ] {
            let spec = format!(r#"{{"timeout":{{"http":{{"{field}":"10s"}}}}}}"#);
            let changes = translated(&spec).changes;
            assert_eq!(perform(&route, Target::Route, &changes), expected);
            let of_route = changes
                .iter()
                .find(|it| it.target == Target::Route)
                .unwrap();
            let outcome = apply_change(&mut parse(&route), of_route).unwrap();
            assert!(matches!(outcome, Outcome::Replaced(_)), "{outcome:?}");
        }
    }
}

#[test]
fn a_request_that_may_take_long_may_be_silent_for_long() {
    for (time, idle) in [("10s", "3600s"), ("2h", "7200s"), ("0s", "0s")] {
        let spec = format!(r#"{{"timeout":{{"http":{{"requestTimeout":"{time}"}}}}}}"#);
        let idle = format!(r#""idle_timeout":"{idle}""#);
        let route = translated(&spec).route;
        assert!(route.contains(&idle), "{route}");
        // What the listener says is not overridden unasked.
        let context = Context {
            has_stream_idle_timeout: true,
            ..Context::default()
        };
        let route = translated_for(&spec, &context).route;
        assert!(!route.contains("idle_timeout"), "{route}");
    }
    let changes = translated(r#"{"timeout":{"http":{"requestTimeout":"1s"}}}"#).changes;
    let route = r#"{"route":{"idleTimeout":"9s","timeout":"1s"}}"#;
    assert_eq!(perform(route, Target::Route, &changes), route);
}

#[test]
fn defaults_of_the_cluster_yield_to_what_it_says() {
    let spec = r#"{"timeout":{"tcp":{}},"connection":{}}"#;
    let bare = r#"{"per_connection_buffer_limit_bytes":32768,"connect_timeout":"10s"}"#;
    check(spec, bare, ROUTE);
    let said = r#"{"perConnectionBufferLimitBytes":7,"connectTimeout":"1s"}"#;
    check_cluster(spec, said, said);
}

#[test]
fn keepalives_of_sockets_and_buffers() {
    check(
        r#"{"tcpKeepalive":{"idleTime":"20m","interval":"60s","probes":3},
            "connection":{"bufferLimit":"1Mi","preconnect":{"perEndpointPercent":150}}}"#,
        r#"{"upstream_connection_options":{"tcp_keepalive":{"keepalive_probes":3,
            "keepalive_time":1200,"keepalive_interval":60}},
            "per_connection_buffer_limit_bytes":1048576,
            "preconnect_policy":{"per_upstream_preconnect_ratio":1.5}}"#,
        ROUTE,
    );
}

#[test]
fn socket_buffers_are_set_beside_other_options() {
    let spec = r#"{"connection":{"bufferLimit":7,"socketBufferLimit":"64Ki"}}"#;
    let own = r#"{"upstreamBindConfig":{"sourceAddress":{"address":"::1"},
        "socketOptions":[{"level":6,"name":1}]}}"#;
    let after = r#"{"upstreamBindConfig":{"sourceAddress":{"address":"::1"},
        "socketOptions":[{"level":6,"name":1},
            {"description":"SO_SNDBUF","level":1,"name":7,"int_value":65536,
                "state":"STATE_PREBIND"},
            {"description":"SO_RCVBUF","level":1,"name":8,"int_value":65536,
                "state":"STATE_PREBIND"}]},
        "per_connection_buffer_limit_bytes":7}"#;
    check_cluster(spec, own, after);
    // Envoy leaves this one out for clusters with one of their own.
    let changes = translated(spec).changes;
    let asks = changes.iter().find(|it| it.target == Target::Bootstrap);
    let asks = asks.expect("a question");
    let bootstrap = r#"{"cluster_manager":{"upstream_bind_config":{}}}"#;
    assert!(apply_change(&mut parse(bootstrap), asks).is_err());
    assert!(apply_change(&mut parse("{}"), asks).is_ok());
}

#[test]
fn names_are_resolved_where_the_cluster_resolves_them() {
    let spec = r#"{"dns":{"lookupFamily":"IPv4Preferred"}}"#;
    let settings = r#""dns_refresh_rate":"30s","respect_dns_ttl":true,
        "dns_lookup_family":"V4_PREFERRED""#;
    for kind in ["STRICT_DNS", "LOGICAL_DNS"] {
        let cluster = format!(r#"{{"type":"{kind}"}}"#);
        check_cluster(
            spec,
            &cluster,
            &format!(r#"{{"type":"{kind}",{settings}}}"#),
        );
    }
    let custom = |fields: &str| {
        format!(
            r#"{{"cluster_type":{{"name":"envoy.cluster.dns","typed_config":{{"@type":
            "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster"{fields}}}}}}}"#
        )
    };
    check_cluster(spec, &custom(""), &custom(&format!(",{settings}")));
    let change = &translated(spec).changes[0];
    for kind in ["STATIC", "EDS"] {
        let mut cluster = parse(&format!(r#"{{"type":"{kind}"}}"#));
        let outcome = apply_change(&mut cluster, change);
        assert_eq!(outcome, Ok(Outcome::Idle("the cluster resolves no names")));
    }
    let mut forward = parse(r#"{"cluster_type":{"typed_config":{"dns_cache_config":{}}}}"#);
    assert!(apply_change(&mut forward, change).is_err());
    for (family, expected) in [
        ("IPv4", "V4_ONLY"),
        ("IPv6", "V6_ONLY"),
        ("IPv6Preferred", "AUTO"),
        ("IPv4AndIPv6", "ALL"),
    ] {
        check_cluster(
            &format!(
                r#"{{"dns":{{"dnsRefreshRate":"5s","respectDnsTtl":false,"lookupFamily":"{family}"}}}}"#
            ),
            r#"{"type":"STRICT_DNS"}"#,
            &format!(
                r#"{{"type":"STRICT_DNS","dns_refresh_rate":"5s","respect_dns_ttl":false,
                "dns_lookup_family":"{expected}"}}"#
            ),
        );
    }
}

const HTTP2: &str = r#"{"http2":{"maxConcurrentStreams":9,"onInvalidMessage":"TerminateStream",
    "connectionKeepalive":{"interval":"10s","timeout":"3s","intervalJitter":15,
    "idleInterval":"30s"}}}"#;
const HTTP2_OPTIONS: &str = r#"{"initial_stream_window_size":65536,
    "initial_connection_window_size":1048576,"max_concurrent_streams":9,
    "connection_keepalive":{"interval":"10s","timeout":"3s","interval_jitter":{"value":15},
    "connection_idle_interval":"30s"},"override_stream_error_on_invalid_http_message":true}"#;

#[test]
fn http2_is_tuned_where_it_is_spoken() {
    let explicit = |http2: &str| {
        options(&format!(
            r#""explicit_http_config":{{"http2_protocol_options":{http2}}}"#
        ))
    };
    check_cluster(HTTP2, &explicit("{}"), &explicit(HTTP2_OPTIONS));
    let auto = |http2: &str| {
        options(&format!(
            r#""auto_config":{{"http2_protocol_options":{http2}}}"#
        ))
    };
    check_cluster(HTTP2, &auto("null"), &auto(HTTP2_OPTIONS));
    let change = &translated(HTTP2).changes[0];
    let outcome = apply_change(&mut parse("{}"), change);
    assert_eq!(
        outcome,
        Ok(Outcome::Idle("the cluster does not use HTTP/2"))
    );
}

#[test]
fn older_protocol_fields_move_to_where_they_count() {
    check_cluster(
        HTTP2,
        r#"{"http2_protocol_options":{"max_concurrent_streams":1,"allow_connect":true},
            "common_http_protocol_options":{"idle_timeout":"5s"},"name":"c"}"#,
        &options(&format!(
            r#""common_http_protocol_options":{{"idle_timeout":"5s"}},
            "explicit_http_config":{{"http2_protocol_options":{{"max_concurrent_streams":9,
            "allow_connect":true,{}}}"#,
            HTTP2_OPTIONS
                .trim_start_matches('{')
                .replace(r#""max_concurrent_streams":9,"#, "")
        ))
        .replacen('{', r#"{"name":"c","#, 1),
    );
    check_cluster(
        r#"{"circuitBreaker":{"maxRequestsPerConnection":2},"timeout":null}"#,
        r#"{"protocolSelection":"USE_DOWNSTREAM_PROTOCOL","circuit_breakers":{}}"#,
        &options(
            r#""use_downstream_protocol_config":{"http_protocol_options":{},
            "http2_protocol_options":{}},
            "common_http_protocol_options":{"max_requests_per_connection":2}"#,
        )
        .replacen(
            '{',
            r#"{"circuit_breakers":{"thresholds":[{"priority":"DEFAULT","max_connections":1024,
            "max_pending_requests":1024,"max_requests":1024,"max_retries":1024}]},"#,
            1,
        ),
    );
}

#[test]
fn the_clients_protocol_keeps_what_was_said_of_each() {
    let spec = r#"{"useClientProtocol":true}"#;
    check(
        spec,
        &options(
            r#""use_downstream_protocol_config":{"http_protocol_options":{},
            "http2_protocol_options":{"initial_stream_window_size":65536,
            "initial_connection_window_size":1048576}}"#,
        ),
        ROUTE,
    );
    check_cluster(
        spec,
        &options(r#""explicit_http_config":{"http2_protocol_options":{"allow_connect":true}}"#),
        &options(
            r#""use_downstream_protocol_config":{"http_protocol_options":{},
            "http2_protocol_options":{"allow_connect":true}}"#,
        ),
    );
    check(r#"{"useClientProtocol":false}"#, "{}", ROUTE);
}

const PROXY: &str = "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";

#[test]
fn the_proxy_header_goes_before_what_the_socket_sends() {
    let wrapped = |version: &str, inner: &str| {
        format!(
            r#"{{"name":"envoy.transport_sockets.upstream_proxy_protocol","typed_config":{{
            "@type":"{PROXY}","config":{{"version":"{version}"}},"transport_socket":{inner}}}}}"#
        )
    };
    let raw = r#"{"name":"envoy.transport_sockets.raw_buffer","typed_config":{"@type":
        "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}"#;
    let spec = r#"{"proxyProtocol":{"version":"V2"}}"#;
    let socket = |socket: &str| format!(r#"{{"transport_socket":{socket}}}"#);
    check(spec, &socket(&wrapped("V2", raw)), ROUTE);
    let tls = r#"{"name":"tls"}"#;
    check_cluster(spec, &socket(tls), &socket(&wrapped("V2", tls)));
    // A header that is sent already changes its version.
    check_cluster(
        spec,
        &socket(&wrapped("V1", tls)),
        &socket(&wrapped("V2", tls)),
    );
    let matches = |socket: &str| {
        format!(
            r#"{{"transport_socket_matches":[{{"name":"m","transport_socket":{socket}}}],
            "transport_socket":{socket}}}"#
        )
    };
    check_cluster(spec, &matches(tls), &matches(&wrapped("V2", tls)));
}

#[test]
fn routing_type_has_nothing_to_do() {
    let found = translated(r#"{"routingType":"Endpoint"}"#);
    assert_eq!((found.cluster.as_str(), found.changes.len()), ("{}", 1));
}
