//! `healthCheck`.

use super::*;

#[test]
fn a_bare_check_has_envoy_gateways_times() {
    check(
        r#"{"healthCheck":{"active":{"type":"HTTP","http":{"path":"/up"}}}}"#,
        r#"{"health_checks":[{"timeout":"1s","interval":"3s","no_traffic_interval":"3s","unhealthy_threshold":3,
            "healthy_threshold":1,"http_health_check":{"path":"/up",
            "expected_statuses":[{"start":200,"end":201}]}}]}"#,
        ROUTE,
    );
}

#[test]
fn every_setting_of_http_checks() {
    check(
        r#"{"healthCheck":{"active":{"type":"HTTP","timeout":"500ms","interval":"2s",
            "initialJitter":"1s","healthyThreshold":3,"unhealthyThreshold":2,"http":{
            "path":"/up","method":"put","hostname":"up.example","expectedStatuses":[204,200,201,404],
            "retriableStatuses":[503],"requestBody":{"type":"Text","text":"ping"},
            "expectedResponse":{"type":"Binary","binary":"cG9uZw=="}},"healthCheckLog":{
            "matches":["Failure","Success"],"sinks":[{"type":"File","file":{"path":"/tmp/x"}}]}}}}"#,
        r#"{"health_checks":[{"timeout":"0.500s","interval":"2s","no_traffic_interval":"2s","unhealthy_threshold":2,
            "healthy_threshold":3,"initial_jitter":"1s","http_health_check":{"path":"/up",
            "host":"up.example","method":"PUT","send":{"text":"70696e67"},
            "receive":[{"binary":"cG9uZw=="}],"expected_statuses":[{"start":200,"end":202},
            {"start":204,"end":205},{"start":404,"end":405}],
            "retriable_statuses":[{"start":503,"end":504}]},"event_logger":[{
            "name":"envoy.health_check.event_sink.file","typed_config":{"@type":
            "type.googleapis.com/envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink",
            "event_log_path":"/tmp/x"}}],"always_log_health_check_failures":true,
            "always_log_health_check_success":true}]}"#,
        ROUTE,
    );
}

#[test]
fn checks_by_tcp() {
    for (tcp, expected) in [
        ("{}", "{}"),
        (
            r#"{"send":{"type":"Text","text":"a"},"receive":{"type":"Text","text":"é"}}"#,
            r#"{"send":{"text":"61"},"receive":[{"text":"c3a9"}]}"#,
        ),
    ] {
        check(
            &format!(r#"{{"healthCheck":{{"active":{{"type":"TCP","tcp":{tcp}}}}}}}"#),
            &format!(
                r#"{{"health_checks":[{{"timeout":"1s","interval":"3s","no_traffic_interval":"3s","unhealthy_threshold":3,
                "healthy_threshold":1,"tcp_health_check":{expected}}}]}}"#
            ),
            ROUTE,
        );
    }
}

#[test]
fn endpoints_are_asked_for_the_host_that_they_name() {
    let cluster = |config: &str| {
        format!(
            r#"{{"load_assignment":{{"endpoints":[{{"lb_endpoints":[{{"endpoint":{{
            "hostname":"pod-1.internal"{config}}}}},{{"endpoint":{{}}}}]}}]}}}}"#
        )
    };
    let asked = |spec: &str, config: &str| {
        let changes = translated(spec).changes;
        perform(&cluster(config), Target::Cluster, &changes)
    };
    let own = r#","health_check_config":{"hostname":"pod-1.internal"}"#;
    let other = r#","health_check_config":{"hostname":"other"}"#;
    let starts = |found: &str, config: &str| {
        let whole = serde_json::to_string(&parse(&cluster(config))).unwrap();
        assert!(found.starts_with(whole.trim_end_matches('}')), "{found}");
    };
    for check in [
        r#""type":"HTTP","http":{"path":"/"}"#,
        r#""type":"GRPC","grpc":{}"#,
    ] {
        let spec =
            format!(r#"{{"useClientProtocol":true,"healthCheck":{{"active":{{{check}}}}}}}"#);
        starts(&asked(&spec, ""), own);
        starts(&asked(&spec, other), other);
    }
    // Envoy would go by the endpoint's instead of the policy's.
    let named = r#"{"healthCheck":{"active":{"type":"HTTP","http":{"path":"/","hostname":"a"}}}}"#;
    starts(&asked(named, other), r#","health_check_config":{}"#);
    let tcp = r#"{"healthCheck":{"active":{"type":"TCP","tcp":{}}}}"#;
    starts(&asked(tcp, ""), "");
}

#[test]
fn checks_speak_the_clusters_protocol() {
    let of = |kind: &str, cluster: &str| {
        let spec = format!(r#"{{"healthCheck":{{"active":{kind}}}}}"#);
        let changes = translate(&parse(&spec), &Context::default()).unwrap();
        let mut cluster = parse(cluster);
        let check = changes
            .iter()
            .find(|it| matches!(it.operation, Operation::HealthCheck(_)));
        let done = apply_change(&mut cluster, check.unwrap());
        done.map(|_| serde_json::to_string(&cluster).unwrap())
    };
    let http = r#"{"type":"HTTP","http":{"path":"/"}}"#;
    let grpc = r#"{"type":"GRPC","grpc":{"service":"s"}}"#;
    let old = r#"{"http2_protocol_options":{}}"#;
    assert!(
        of(http, old)
            .unwrap()
            .contains(r#""codec_client_type":"HTTP2""#)
    );
    assert!(!of(http, "{}").unwrap().contains("codec_client_type"));
    let check = of(grpc, old).unwrap();
    assert!(
        check.contains(r#""grpc_health_check":{"service_name":"s"}"#),
        "{check}"
    );
    assert!(
        of(grpc, "{}")
            .unwrap_err()
            .to_string()
            .contains("must use HTTP/2")
    );
    let http3 = r#"{"typed_extension_protocol_options":{
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":{"KIND":{
        "http3_protocol_options":{}}}}}"#;
    let refused = of(http, &http3.replace("KIND", "explicit_http_config")).unwrap_err();
    assert!(refused.to_string().contains("only HTTP/3"), "{refused}");
    let either = of(http, &http3.replace("KIND", "auto_config")).unwrap();
    assert!(!either.contains("codec_client_type"), "{either}");
}

#[test]
fn the_host_is_the_policys_or_what_the_caller_knows() {
    let context = Context {
        hostname: Some("shop.example"),
        ..Context::default()
    };
    for (http, host) in [
        (r#"{"path":"/"}"#, "shop.example"),
        (r#"{"path":"/","hostname":"up.example"}"#, "up.example"),
    ] {
        let spec = format!(r#"{{"healthCheck":{{"active":{{"type":"HTTP","http":{http}}}}}}}"#);
        let cluster = translated_for(&spec, &context).cluster;
        assert!(
            cluster.contains(&format!(r#""host":"{host}""#)),
            "{cluster}"
        );
    }
}

#[test]
fn another_port_is_the_endpoints() {
    let spec = r#"{"healthCheck":{"active":{"type":"TCP","tcp":{},"overrides":{"port":8080}}}}"#;
    let changes = translate(&parse(spec), &Context::default()).unwrap();
    let cluster = r#"{"load_assignment":{"endpoints":[{"lb_endpoints":[{"endpoint":{}}]},{}]}}"#;
    let cluster = perform(cluster, Target::Cluster, &changes);
    let endpoints = r#"{"load_assignment":{"endpoints":[{"lb_endpoints":[{"endpoint":{"health_check_config":{"port_value":8080}}}]},{}]}"#;
    assert!(cluster.starts_with(endpoints), "{cluster}");
}

#[test]
fn a_bare_detection_has_envoy_gateways_numbers() {
    check(
        r#"{"healthCheck":{"passive":{}}}"#,
        r#"{"outlier_detection":{"interval":"3s","base_ejection_time":"30s",
            "max_ejection_percent":10,"consecutive_5xx":5,
            "split_external_local_origin_errors":false,"consecutive_local_origin_failure":5}}"#,
        ROUTE,
    );
}

#[test]
fn every_setting_of_detection_and_panic() {
    check(
        r#"{"healthCheck":{"panicThreshold":50,"passive":{"alwaysEjectOneEndpoint":true,
            "baseEjectionTime":"1m","consecutive5XxErrors":1,"consecutiveGatewayErrors":2,
            "consecutiveLocalOriginFailures":3,"failurePercentageThreshold":4,"interval":"5s",
            "maxEjectionPercent":0,"splitExternalLocalOriginErrors":true}}}"#,
        r#"{"outlier_detection":{"interval":"5s","base_ejection_time":"60s",
            "max_ejection_percent":0,"consecutive_5xx":1,
            "split_external_local_origin_errors":true,"consecutive_local_origin_failure":3,
            "consecutive_gateway_failure":2,"enforcing_consecutive_gateway_failure":100,
            "failure_percentage_threshold":4,"enforcing_failure_percentage":100,
            "enforcing_failure_percentage_local_origin":100,
            "always_eject_one_host":true},
            "common_lb_config":{"healthy_panic_threshold":{"value":50}}}"#,
        ROUTE,
    );
}
