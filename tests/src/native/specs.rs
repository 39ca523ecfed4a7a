//! Policies for tests that must hold for whatever a policy may say.

use serde_json::{Value, json};

/// A policy for each field, with all the settings it has.
pub fn all() -> Vec<Value> {
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
