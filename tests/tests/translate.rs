//! Whatever the translation writes, Envoy loads.

use anyhow::{Result, ensure};
use btp_tests::{Bootstrap, Builder, Envoy, Route, bootstrap};
use serde_json::{Value, json};

const NOWHERE: &str = "127.0.0.1:9";

/// A policy for each field, with all the settings it has.
fn specs() -> Vec<Value> {
    let balancer = |value: Value| json!({ "loadBalancer": value });
    let hash = |value: Value| balancer(json!({"type": "ConsistentHash", "consistentHash": value}));
    vec![
        balancer(json!({"type": "RoundRobin", "slowStart": {"window": "1m"}})),
        balancer(json!({"type": "LeastRequest", "slowStart": {"window": "300ms"}})),
        balancer(json!({"type": "Random"})),
        balancer(
            json!({"type": "LeastRequest", "zoneAware": {"weightedZones": [
            {"zone": "a", "weight": 90}, {"zone": "b", "weight": 10}]}}),
        ),
        balancer(json!({"type": "RoundRobin", "zoneAware": {"preferLocal": {
            "minEndpointsThreshold": 3, "percentageEnabled": 50,
            "force": {"minEndpointsInZoneThreshold": 2}}}})),
        balancer(json!({"type": "RoundRobin", "slowStart": {"window": "1m"},
            "endpointOverride": {"extractFrom": [{"header": "x-host"}]}})),
        balancer(json!({"type": "BackendUtilization", "backendUtilization": {
            "blackoutPeriod": "1s", "weightExpirationPeriod": "2m", "weightUpdatePeriod": "500ms",
            "errorUtilizationPenaltyPercent": 150, "keepResponseHeaders": false,
            "metricNamesForComputingUtilization": ["named_metrics.x"],
            "outOfBand": {"port": 9001, "authority": "reports", "reportingPeriod": "5s"}},
            "zoneAware": {"weightedZones": [{"zone": "a", "weight": 3}]}})),
        hash(json!({"type": "SourceIP", "tableSize": 5_000_011})),
        hash(json!({"type": "Header", "header": {"name": "X-User"}})),
        hash(json!({"type": "Headers", "headers": [{"name": "x-a"}, {"name": "x-b"}]})),
        hash(json!({"type": "QueryParams", "queryParams": [{"name": "user"}]})),
        hash(
            json!({"type": "Cookie", "cookie": {"name": "session", "ttl": "1h",
            "attributes": {"SameSite": "Strict", "Path": "/"}}}),
        ),
        balancer(
            json!({"type": "ConsistentHash", "consistentHash": {"type": "SourceIP"},
            "zoneAware": {"weightedZones": [{"zone": "a", "weight": 3}]}}),
        ),
        json!({"retry": {}}),
        json!({"retry": {}, "retryConstraint": {}}),
        json!({"retry": {"numRetries": 5, "numAttemptsPerPriority": 2,
            "perRetry": {"timeout": "250ms", "backOff": {"baseInterval": "100ms", "maxInterval": "10s"}},
            "retryOn": {"triggers": ["5xx", "gateway-error", "reset", "reset-before-request",
                "connect-failure", "retriable-4xx", "refused-stream", "cancelled",
                "deadline-exceeded", "internal", "resource-exhausted", "unavailable"],
                "httpStatusCodes": [429, 503]}}}),
        json!({"retry": {"perRetry": {"backOff": {"maxInterval": "10ms"}}}}),
        json!({"circuitBreaker": {}}),
        json!({"circuitBreaker": {"maxConnections": 1, "maxPendingRequests": 0,
            "maxParallelRequests": 4_294_967_295_u32, "maxParallelRetries": 7,
            "maxRequestsPerConnection": 100, "perEndpoint": {"maxConnections": 5},
            "retryBudget": {"percent": {"numerator": 1, "denominator": 3}, "minRetryConcurrency": 1}}}),
        json!({"healthCheck": {"panicThreshold": 10, "passive": {}}}),
        json!({"healthCheck": {"panicThreshold": 0, "passive": {
            "baseEjectionTime": "160s", "interval": "2s", "maxEjectionPercent": 0,
            "consecutive5XxErrors": 50, "consecutiveGatewayErrors": 0,
            "consecutiveLocalOriginFailures": 5, "splitExternalLocalOriginErrors": true,
            "failurePercentageThreshold": 80, "alwaysEjectOneEndpoint": true}}}),
        json!({"healthCheck": {"active": {"type": "HTTP", "timeout": "500ms", "interval": "3s",
            "initialJitter": "1s", "healthyThreshold": 3, "unhealthyThreshold": 2,
            "overrides": {"port": 9}, "http": {"path": "/healthz", "method": "post",
                "hostname": "www.example.com", "expectedStatuses": [200, 201, 204],
                "retriableStatuses": [503], "requestBody": {"type": "Text", "text": "ping"},
                "expectedResponse": {"type": "Binary", "binary": "cG9uZw=="}},
            "healthCheckLog": {"matches": ["Failure", "Success"],
                "sinks": [{"type": "File", "file": {"path": "/dev/null"}}]}}}}),
        json!({"healthCheck": {"active": {"type": "TCP", "tcp": {}}}}),
        json!({"healthCheck": {"active": {"type": "TCP", "tcp": {
            "send": {"type": "Text", "text": "ping"}, "receive": {"type": "Text", "text": "pong"}}}}}),
        json!({"timeout": {"tcp": {"connectTimeout": "15s"}, "http": {
            "connectionIdleTimeout": "16s", "maxConnectionDuration": "17s",
            "maxStreamDuration": "18s", "requestTimeout": "0s", "streamIdleTimeout": "19s"}}}),
        json!({"timeout": {"http": {"connectionIdleTimeout": "0s", "maxConnectionDuration": "0s",
            "maxStreamDuration": "0s", "requestTimeout": "99999h99999h99999h99999h"}}}),
        json!({"tcpKeepalive": {}}),
        json!({"tcpKeepalive": {"idleTime": "20m", "interval": "60s", "probes": 3}}),
        json!({"connection": {}}),
        json!({"connection": {"bufferLimit": "100Mi", "preconnect": {
            "perEndpointPercent": 150, "predictivePercent": 300}},
            "loadBalancer": {"type": "Random"}}),
        json!({"dns": {"dnsRefreshRate": "5s", "respectDnsTtl": false, "lookupFamily": "IPv6Preferred"}}),
        json!({"useClientProtocol": true, "http2": {"initialStreamWindowSize": "64Ki",
            "initialConnectionWindowSize": "32Mi", "maxConcurrentStreams": 200,
            "onInvalidMessage": "TerminateStream", "connectionKeepalive": {
                "interval": "10s", "timeout": "3s", "intervalJitter": 15, "idleInterval": "30s"}}}),
        json!({"useClientProtocol": true, "healthCheck": {"active": {"type": "GRPC", "grpc": {"service": "x"}}}}),
        json!({"proxyProtocol": {"version": "V1"}}),
        json!({"proxyProtocol": {"version": "V2"}}),
        json!({"compressor": [{"type": "Brotli", "brotli": {}}, {"type": "Gzip", "gzip": {}},
            {"type": "Zstd", "zstd": {}, "minContentLength": "1Ki"}]}),
        json!({"compression": [{"type": "Gzip"}]}),
        json!({"httpUpgrade": [{"type": "websocket"}, {"type": "spdy/3.1"},
            {"type": "CONNECT", "connect": {"terminate": true}}]}),
    ]
}

/// A route and a cluster per policy, clusters as `kind` makes them.
fn bootstrap(specs: &[Value], kind: impl Fn(&mut Value)) -> Result<Bootstrap> {
    let mut builder = Builder::new();
    for index in 0..specs.len() {
        let name = format!("c{index}");
        let mut cluster = bootstrap::cluster(&name, NOWHERE.parse()?);
        kind(&mut cluster);
        builder = builder
            .route(Route::cluster(&format!("/{name}/"), &name))
            .raw_cluster(cluster);
    }
    let own = bootstrap::cluster("own-instances", NOWHERE.parse()?);
    let mut bootstrap = builder.raw_cluster(own).build()?;
    bootstrap.edit(|config| {
        config["cluster_manager"] = json!({"local_cluster_name": "own-instances"});
        config["node"]["locality"] = json!({"zone": "a"});
    });
    for (index, spec) in specs.iter().enumerate() {
        bootstrap.govern(&format!("c{index}"), spec)?;
    }
    Ok(bootstrap)
}

async fn assert_loads(bootstrap: &Bootstrap) -> Result<String> {
    let validation = Envoy::validate(bootstrap).await?;
    ensure!(validation.ok, "Envoy refuses it:\n{}", validation.log);
    Ok(validation.log)
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_loads_every_translation() -> Result<()> {
    let log = assert_loads(&bootstrap(&specs(), |_| {})?).await?;
    ensure!(!log.contains("deprecated"), "Envoy warns:\n{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_loads_them_over_what_clusters_say_already() -> Result<()> {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let clusters = [
        // The older ways to say things, by their JSON names.
        json!({"lbPolicy": "RING_HASH", "ringHashLbConfig": {"minimumRingSize": 5},
            "commonLbConfig": {"localityWeightedLbConfig": {}},
            "http2ProtocolOptions": {"maxConcurrentStreams": 5},
            "circuitBreakers": {"thresholds": [{"priority": "HIGH"}, {"maxRetries": 9}]}}),
        json!({"type": "STRICT_DNS", "dns_refresh_rate": "7s",
            "protocol_selection": "USE_DOWNSTREAM_PROTOCOL", "http2_protocol_options": {},
            "outlier_detection": {}, "connect_timeout": "3s"}),
        json!({"type": null, "cluster_type": {"name": "envoy.cluster.dns", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster"}},
            "typed_extension_protocol_options": {options: {
                "@type": format!("type.googleapis.com/{options}"),
                "explicit_http_config": {"http2_protocol_options": {}}}}}),
        json!({"transport_socket": {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"}},
            "transport_socket_matches": [{"name": "plain", "match": {"x": "y"},
                "transport_socket": {"name": "raw", "typed_config": {"@type":
                    "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}],
            "typed_extension_protocol_options": {options: {
                "@type": format!("type.googleapis.com/{options}"), "explicit_http_config": {"http2_protocol_options": {}}}}}),
    ];
    for extra in clusters {
        let with_extra = |cluster: &mut Value| {
            for (name, value) in extra.as_object().into_iter().flatten() {
                cluster[name] = value.clone();
            }
        };
        assert_loads(&bootstrap(&specs(), with_extra)?).await?;
    }
    Ok(())
}
