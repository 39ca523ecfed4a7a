//! `loadBalancer`, `retry`, `circuitBreaker`.

use super::*;

/// The cluster of a load balancer whose policy is this extension.
fn balanced(name: &str, config: &str) -> String {
    format!(
        r#"{{"load_balancing_policy":{{"policies":[{{"typed_extension_config":{{
            "name":"envoy.load_balancing_policies.{name}","typed_config":{config}}}}}]}}}}"#
    )
}

fn typed(name: &str, message: &str) -> String {
    format!(
        r#""@type":"type.googleapis.com/envoy.extensions.load_balancing_policies.{name}.v3.{message}""#
    )
}

#[test]
fn each_type_is_an_extension() {
    for (kind, name) in [
        ("RoundRobin", "round_robin"),
        ("LeastRequest", "least_request"),
        ("Random", "random"),
    ] {
        let spec = format!(r#"{{"loadBalancer":{{"type":"{kind}"}}}}"#);
        let config = format!(
            r#"{{{},"locality_lb_config":{{"locality_weighted_lb_config":{{}}}}}}"#,
            typed(name, kind)
        );
        check(&spec, &balanced(name, &config), ROUTE);
    }
}

#[test]
fn the_fewest_requests_are_looked_for_among_so_many() {
    let config = format!(
        r#"{{{},"choice_count":4,"locality_lb_config":{{"locality_weighted_lb_config":{{}}}}}}"#,
        typed("least_request", "LeastRequest")
    );
    let spec = r#"{"loadBalancer":{"type":"LeastRequest","leastRequest":{"choiceCount":4}}}"#;
    check(spec, &balanced("least_request", &config), ROUTE);
    for wrong in [
        r#"{"type":"LeastRequest","leastRequest":{"choiceCount":1}}"#,
        r#"{"type":"LeastRequest","leastRequest":{"choiceCount":4294967296}}"#,
        r#"{"type":"Random","leastRequest":{"choiceCount":4}}"#,
    ] {
        let spec = parse(&format!(r#"{{"loadBalancer":{wrong}}}"#));
        assert!(translate(&spec, &Context::default()).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_hashed_stands_in_the_route() {
    let maglev = |size| {
        let config = format!(r#"{{{},"table_size":{size}}}"#, typed("maglev", "Maglev"));
        balanced("maglev", &config)
    };
    for (hash, size, policies) in [
        (
            r#"{"type":"SourceIP"}"#,
            65_537,
            r#"[{"connection_properties":{"source_ip":true}}]"#,
        ),
        (
            r#"{"type":"Header","header":{"name":"X-A"},"tableSize":1009}"#,
            1_009,
            r#"[{"header":{"header_name":"X-A"}}]"#,
        ),
        (
            r#"{"type":"Headers","headers":[{"name":"a"},{"name":"b"}]}"#,
            65_537,
            r#"[{"header":{"header_name":"a"}},{"header":{"header_name":"b"}}]"#,
        ),
        (
            r#"{"type":"QueryParams","queryParams":[{"name":"q"}]}"#,
            65_537,
            r#"[{"query_parameter":{"name":"q"}}]"#,
        ),
        (
            r#"{"type":"Cookie","cookie":{"name":"c","ttl":"1h","attributes":{"SameSite":"Lax"}}}"#,
            65_537,
            r#"[{"cookie":{"name":"c","ttl":"3600s",
                "attributes":[{"name":"SameSite","value":"Lax"}]}}]"#,
        ),
        (
            r#"{"type":"Cookie","cookie":{"name":"c"}}"#,
            65_537,
            r#"[{"cookie":{"name":"c"}}]"#,
        ),
    ] {
        let spec =
            format!(r#"{{"loadBalancer":{{"type":"ConsistentHash","consistentHash":{hash}}}}}"#);
        let route = format!(r#"{{"route":{{"hash_policy":{policies}}}}}"#);
        check(&spec, &maglev(size), &route);
    }
}

#[test]
fn a_hash_pins_the_cluster_as_well_as_the_endpoint() {
    let spec = r#"{"loadBalancer":{"type":"ConsistentHash","consistentHash":{"type":"SourceIP"}}}"#;
    let hash = r#""hash_policy":[{"connection_properties":{"source_ip":true}}]"#;
    let changes = translated(spec).changes;
    for (drawn, pinned) in [
        (
            r#""clusters":[]"#,
            r#""clusters":[],"use_hash_policy":true"#,
        ),
        (
            r#""use_hash_policy":false,"clusters":[]"#,
            r#""use_hash_policy":true,"clusters":[]"#,
        ),
        // Envoy takes one of both only.
        (
            r#""header_name":"x-a","clusters":[]"#,
            r#""clusters":[],"use_hash_policy":true"#,
        ),
    ] {
        let route = format!(r#"{{"route":{{"weighted_clusters":{{{drawn}}}}}}}"#);
        let expected = format!(r#"{{"route":{{"weighted_clusters":{{{pinned}}},{hash}}}}}"#);
        assert_eq!(perform(&route, Target::Route, &changes), expected);
    }
}

#[test]
fn slow_start_and_zones_are_settings_of_the_policy() {
    let config = format!(
        r#"{{{},"slow_start_config":{{"slow_start_window":"90s"}},"locality_lb_config":
        {{"zone_aware_lb_config":{{"min_cluster_size":6,"routing_enabled":{{"value":70}},
        "force_local_zone":{{"min_size":1}}}}}}}}"#,
        typed("round_robin", "RoundRobin")
    );
    let spec = r#"{"loadBalancer":{"type":"RoundRobin","slowStart":{"window":"1m30s"},
        "zoneAware":{"preferLocal":{"percentageEnabled":70,"force":{}}}}}"#;
    check(spec, &balanced("round_robin", &config), ROUTE);
    // Envoy must know which instances are its own.
    let changes = translated(spec).changes;
    let change = changes
        .iter()
        .find(|it| it.target == Target::Bootstrap)
        .unwrap();
    assert!(apply_change(&mut parse("{}"), change).is_err());
    let mut bootstrap = parse(r#"{"clusterManager":{"localClusterName":"own"}}"#);
    assert_eq!(apply_change(&mut bootstrap, change), Ok(Outcome::Nothing));
}

#[test]
fn an_override_keeps_the_settings_of_what_it_falls_back_to() {
    let inner = balanced(
        "round_robin",
        &format!(
            r#"{{{},"slow_start_config":{{"slow_start_window":"5s"}},
            "locality_lb_config":{{"locality_weighted_lb_config":{{}}}}}}"#,
            typed("round_robin", "RoundRobin")
        ),
    );
    let inner = inner
        .strip_prefix(r#"{"load_balancing_policy":"#)
        .unwrap()
        .strip_suffix('}')
        .unwrap();
    let config = format!(
        r#"{{{},"override_host_sources":[{{"header":"x-host"}},{{"header":"x-other"}}],
        "fallback_policy":{inner}}}"#,
        typed("override_host", "OverrideHost")
    );
    let spec = r#"{"loadBalancer":{"type":"RoundRobin","slowStart":{"window":"5s"},
        "endpointOverride":{"extractFrom":[{"header":"x-host"},{"header":"x-other"}]}}}"#;
    check(spec, &balanced("override_host", &config), ROUTE);
}

#[test]
fn zones_are_weighed_and_those_not_named_weigh_one() {
    let spec = r#"{"loadBalancer":{"type":"ConsistentHash","consistentHash":{"type":"SourceIP"},
        "zoneAware":{"weightedZones":[{"zone":"a","weight":9}]}}}"#;
    let changes = translate(&parse(spec), &Context::default()).unwrap();
    let cluster = r#"{"loadAssignment":{"endpoints":[
        {"locality":{"zone":"b"},"loadBalancingWeight":5},{"locality":{"zone":"a"}},{}]}}"#;
    let cluster = perform(cluster, Target::Cluster, &changes);
    let endpoints = r#"[{"locality":{"zone":"b"},"loadBalancingWeight":1},{"locality":{"zone":"a"},"load_balancing_weight":9},{"load_balancing_weight":1}]"#;
    assert!(cluster.contains(endpoints), "{cluster}");
    assert!(
        cluster.contains(r#""locality_weighted_lb_config":{}"#),
        "{cluster}"
    );
    let refused = changes
        .iter()
        .filter(|it| it.target == Target::Cluster)
        .find_map(|change| apply_change(&mut parse("{}"), change).err());
    assert!(refused.unwrap().to_string().contains("EDS"));
}

#[test]
fn backend_utilization_weighs_by_load_reports() {
    let config = format!(
        r#"{{{},"enable_oob_load_report":true,"oob_reporting_period":"5s",
        "oob_reporting_config":{{"port_value":9001}},"blackout_period":"1s",
        "error_utilization_penalty":1.5,"metric_names_for_computing_utilization":["m"]}}"#,
        typed(
            "client_side_weighted_round_robin",
            "ClientSideWeightedRoundRobin"
        )
    );
    check(
        r#"{"loadBalancer":{"type":"BackendUtilization","backendUtilization":{
            "blackoutPeriod":"1s","errorUtilizationPenaltyPercent":150,
            "metricNamesForComputingUtilization":["m"],
            "outOfBand":{"port":9001,"reportingPeriod":"5s"}}}}"#,
        &balanced("client_side_weighted_round_robin", &config),
        r#"{"route":{},"response_headers_to_remove":
            ["endpoint-load-metrics","endpoint-load-metrics-bin"]}"#,
    );
}

#[test]
fn older_settings_of_the_cluster_give_way() {
    let changes = translate(
        &parse(r#"{"loadBalancer":{"type":"Random"}}"#),
        &Context::default(),
    )
    .unwrap();
    let cluster = r#"{"lbPolicy":"RING_HASH","ring_hash_lb_config":{"minimum_ring_size":5},
        "common_lb_config":{"locality_weighted_lb_config":{},"healthy_panic_threshold":{"value":9}}}"#;
    let cluster = perform(cluster, Target::Cluster, &changes);
    let start =
        r#"{"common_lb_config":{"healthy_panic_threshold":{"value":9}},"load_balancing_policy""#;
    assert!(cluster.starts_with(start), "{cluster}");
    for (cluster, reason) in [
        (
            r#"{"lb_policy":"CLUSTER_PROVIDED"}"#,
            "its own load balancer",
        ),
        (r#"{"lb_subset_config":{}}"#, "subsets"),
    ] {
        let refused = changes
            .iter()
            .find_map(|change| apply_change(&mut parse(cluster), change).err());
        assert!(refused.unwrap().to_string().contains(reason), "{cluster}");
    }
}

const ANOTHER_HOST: &str = r#""retry_host_predicate":[{
    "name":"envoy.retry_host_predicates.previous_hosts","typed_config":{"@type":
    "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}],
    "host_selection_retry_max_attempts":5"#;

fn retrying(policy: &str) -> String {
    format!(r#"{{"route":{{"retry_policy":{{{policy}}}}}}}"#)
}

fn retries(most: u32) -> String {
    format!(
        r#"{{"circuit_breakers":{{"thresholds":[{{"priority":"DEFAULT","max_retries":{most}}}]}}}}"#
    )
}

#[test]
fn a_bare_retry_is_envoy_gateways_and_lifts_the_limit() {
    let policy = format!(
        r#""retry_on":"connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "num_retries":2,"retriable_status_codes":[503],{ANOTHER_HOST}"#
    );
    check(r#"{"retry":{}}"#, &retries(1024), &retrying(&policy));
    // A retryConstraint counts for itself.
    let spec = r#"{"retry":{},"retryConstraint":{}}"#;
    check(spec, &retries(u32::MAX), &retrying(&policy));
}

#[test]
fn every_setting_of_retries() {
    let policy = format!(
        r#""retry_on":"5xx,reset","num_retries":5,"per_try_timeout":"0.250s",
        "retry_back_off":{{"base_interval":"0.100s","max_interval":"10s"}},{ANOTHER_HOST},
        "retry_priority":{{"name":"envoy.retry_priorities.previous_priorities","typed_config":
        {{"@type":"type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        "update_frequency":2}}}}"#
    );
    let spec = r#"{"retry":{"numRetries":5,"numAttemptsPerPriority":2,
        "perRetry":{"timeout":"250ms","backOff":{"baseInterval":"100ms","maxInterval":"10s"}},
        "retryOn":{"triggers":["reset","5xx"]}}}"#;
    check(spec, &retries(1024), &retrying(&policy));
}

#[test]
fn status_codes_without_their_trigger_get_it() {
    let spec = r#"{"retry":{"retryOn":{"triggers":["reset"],"httpStatusCodes":[429]}}}"#;
    let policy = format!(
        r#""retry_on":"reset,retriable-status-codes","num_retries":2,
        "retriable_status_codes":[429],{ANOTHER_HOST}"#
    );
    check(spec, &retries(1024), &retrying(&policy));
}

#[test]
fn a_back_off_always_has_a_base() {
    for (back_off, expected) in [
        (
            r#"{"maxInterval":"1s"}"#,
            r#"{"base_interval":"0.025s","max_interval":"1s"}"#,
        ),
        (
            r#"{"maxInterval":"5ms"}"#,
            r#"{"base_interval":"0.005s","max_interval":"0.005s"}"#,
        ),
        (r#"{"baseInterval":"2s"}"#, r#"{"base_interval":"2s"}"#),
    ] {
        let spec = format!(r#"{{"retry":{{"perRetry":{{"backOff":{back_off}}}}}}}"#);
        let route = translated(&spec).route;
        let expected = format!(r#""retry_back_off":{expected}"#);
        assert!(route.contains(&expected), "{route}");
    }
}

#[test]
fn a_limit_of_retries_that_is_there_stays() {
    let changes = translate(&parse(r#"{"retry":{}}"#), &Context::default()).unwrap();
    let route = r#"{"route":{"retryPolicyTypedConfig":{}}}"#;
    assert!(!perform(route, Target::Route, &changes).contains("retryPolicyTypedConfig"));
    let cluster = r#"{"circuitBreakers":{"thresholds":[{"maxRetries":7},{"priority":"HIGH"}]}}"#;
    assert_eq!(perform(cluster, Target::Cluster, &changes), cluster);
}

#[test]
fn breakers_have_envoy_gateways_limits() {
    let thresholds = |fields: &str| {
        format!(r#"{{"circuit_breakers":{{"thresholds":[{{"priority":"DEFAULT",{fields}}}]}}}}"#)
    };
    let limits = |retries: u32| {
        format!(
            r#""max_connections":1024,"max_pending_requests":1024,"max_requests":1024,
            "max_retries":{retries}"#
        )
    };
    check(
        r#"{"circuitBreaker":{}}"#,
        &thresholds(&limits(1024)),
        ROUTE,
    );
    let budget = r#","retry_budget":{"budget_percent":{"value":12.5},"min_retry_concurrency":3}"#;
    check(
        r#"{"circuitBreaker":{"retryBudget":{"percent":{"numerator":1,"denominator":8}}}}"#,
        &thresholds(&(limits(1024) + budget)),
        ROUTE,
    );
    let cluster = translated(r#"{"circuitBreaker":{},"retryConstraint":{}}"#).cluster;
    assert!(cluster.contains(r#""max_retries":4294967295"#), "{cluster}");
}

#[test]
fn every_setting_of_breakers() {
    check(
        r#"{"circuitBreaker":{"maxConnections":1,"maxPendingRequests":0,"maxParallelRequests":3,
            "maxParallelRetries":4,"maxRequestsPerConnection":5,"perEndpoint":{}},"retry":{"numRetries":0,
            "retryOn":{"triggers":["5xx"]}}}"#,
        r#"{"circuit_breakers":{"thresholds":[{"priority":"DEFAULT","max_connections":1,
            "max_pending_requests":0,"max_requests":3,"max_retries":4}],
            "per_host_thresholds":[{"max_connections":1024}]},
            "typed_extension_protocol_options":{
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":{
            "@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config":{"http_protocol_options":{}},
            "common_http_protocol_options":{"max_requests_per_connection":5}}}}"#,
        &retrying(&format!(
            r#""retry_on":"5xx","num_retries":0,{ANOTHER_HOST}"#
        )),
    );
}

#[test]
fn a_budget_of_the_cluster_does_not_outlive_the_policys_limits() {
    let changes = translate(&parse(r#"{"circuitBreaker":{}}"#), &Context::default()).unwrap();
    let cluster =
        r#"{"circuit_breakers":{"thresholds":[{"track_remaining":true,"retry_budget":{}}]}}"#;
    let cluster = perform(cluster, Target::Cluster, &changes);
    assert!(
        cluster.contains(r#"[{"track_remaining":true,"max_connections":1024"#),
        "{cluster}"
    );
    assert!(!cluster.contains("retry_budget"), "{cluster}");
    let route = r#"{"route":{"priority":"HIGH"}}"#;
    let refused = changes
        .iter()
        .filter(|it| it.target == Target::Route)
        .find_map(|change| apply_change(&mut parse(route), change).err());
    assert!(refused.is_some());
}
