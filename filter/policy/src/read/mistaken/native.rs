//! Mistaken names in fields that Envoy enforces, which the filter does not read.

use super::Here::{self, Is, Says};
use super::{Bare, Words};

const PER_ENDPOINT: Here =
    Says("an endpoint has maxConnections only; the others are in circuitBreaker itself");
const TABLE: Here = Says("the table is consistentHash.tableSize here, with type: ConsistentHash");

pub(super) const FIELDS: Words = &[
    (
        "sessionPersistence",
        &[(
            "idleTimeout",
            Says("Envoy does not end idle sessions: write absoluteTimeout"),
        )],
    ),
    (
        "circuitBreaker",
        &[
            ("maxRequests", Is("maxParallelRequests")),
            ("http2MaxRequests", Is("maxParallelRequests")),
            ("http1MaxPendingRequests", Is("maxPendingRequests")),
            ("maxRetries", Is("maxParallelRetries")),
            ("perHostThresholds", Is("perEndpoint")),
            (
                "thresholds",
                Says("its fields are in circuitBreaker itself; leave it out"),
            ),
            ("connectTimeout", Is("spec.timeout.tcp.connectTimeout")),
        ],
    ),
    (
        "circuitBreaker.perEndpoint",
        &[
            ("maxPendingRequests", PER_ENDPOINT),
            ("maxParallelRequests", PER_ENDPOINT),
            ("maxParallelRetries", PER_ENDPOINT),
            ("maxRequestsPerConnection", PER_ENDPOINT),
        ],
    ),
    (
        "circuitBreaker.retryBudget",
        &[("budgetPercent", Is("percent"))],
    ),
    (
        "healthCheck",
        &[
            ("path", Is("active.http.path")),
            ("http", Is("active.http")),
            ("tcp", Is("active.tcp")),
            ("grpc", Is("active.grpc")),
            ("type", Is("active.type")),
            ("interval", Is("active.interval")),
            ("timeout", Is("active.timeout")),
            ("healthyThreshold", Is("active.healthyThreshold")),
            ("unhealthyThreshold", Is("active.unhealthyThreshold")),
            ("outlierDetection", Is("passive")),
            ("consecutive5xxErrors", Is("passive.consecutive5XxErrors")),
            ("baseEjectionTime", Is("passive.baseEjectionTime")),
            ("maxEjectionPercent", Is("passive.maxEjectionPercent")),
        ],
    ),
    (
        "healthCheck.active",
        &[
            ("path", Is("http.path")),
            ("method", Is("http.method")),
            ("host", Is("http.hostname")),
            ("hostname", Is("http.hostname")),
            ("expectedStatuses", Is("http.expectedStatuses")),
            ("retriableStatuses", Is("http.retriableStatuses")),
            ("httpHealthCheck", Is("http")),
            ("tcpHealthCheck", Is("tcp")),
            ("grpcHealthCheck", Is("grpc")),
            ("service", Is("grpc.service")),
            ("port", Is("overrides.port")),
            ("failureThreshold", Is("unhealthyThreshold")),
            ("unhealthyThresholdCount", Is("unhealthyThreshold")),
            ("successThreshold", Is("healthyThreshold")),
            ("healthyThresholdCount", Is("healthyThreshold")),
            ("intervalSeconds", Is("interval")),
            ("timeoutSeconds", Is("timeout")),
        ],
    ),
    (
        "healthCheck.active.http",
        &[
            ("host", Is("hostname")),
            ("port", Is("spec.healthCheck.active.overrides.port")),
            ("interval", Is("spec.healthCheck.active.interval")),
            ("timeout", Is("spec.healthCheck.active.timeout")),
            ("statusCodes", Is("expectedStatuses")),
            ("send", Is("requestBody")),
            ("receive", Is("expectedResponse")),
        ],
    ),
    (
        "healthCheck.passive",
        &[
            ("consecutiveErrors", Is("consecutive5XxErrors")),
            ("minHealthPercent", Is("spec.healthCheck.panicThreshold")),
        ],
    ),
    (
        "timeout",
        &[
            ("request", Is("http.requestTimeout")),
            ("requestTimeout", Is("http.requestTimeout")),
            ("streamIdleTimeout", Is("http.streamIdleTimeout")),
            ("maxStreamDuration", Is("http.maxStreamDuration")),
            ("idleTimeout", Is("http.connectionIdleTimeout")),
            ("connectionIdleTimeout", Is("http.connectionIdleTimeout")),
            ("maxConnectionDuration", Is("http.maxConnectionDuration")),
            ("connect", Is("tcp.connectTimeout")),
            ("connectTimeout", Is("tcp.connectTimeout")),
            ("backendRequest", Is("spec.retry.perRetry.timeout")),
        ],
    ),
    (
        "timeout.http",
        &[
            ("request", Is("requestTimeout")),
            ("timeout", Is("requestTimeout")),
            ("idleTimeout", Is("connectionIdleTimeout")),
            ("connectTimeout", Is("spec.timeout.tcp.connectTimeout")),
            ("perTryTimeout", Is("spec.retry.perRetry.timeout")),
            (
                "requestReceivedTimeout",
                Says("it is in Envoy Gateway's ClientTrafficPolicy; leave it out here"),
            ),
        ],
    ),
    (
        "timeout.tcp",
        &[(
            "idleTimeout",
            Says("TCP has connectTimeout only here; leave it out"),
        )],
    ),
    (
        "loadBalancer",
        &[
            ("simple", Is("type")),
            ("policy", Is("type")),
            ("lbPolicy", Is("type")),
            ("algorithm", Is("type")),
            ("strategy", Is("type")),
            ("hashPolicy", Is("consistentHash")),
            ("maglev", TABLE),
            ("ringHash", TABLE),
            ("roundRobin", Says("type: RoundRobin has no settings")),
            ("random", Says("type: Random has no settings")),
            ("slowStartConfig", Is("slowStart")),
            ("warmup", Is("slowStart.window")),
            ("warmupDurationSecs", Is("slowStart.window")),
            ("localityLbSetting", Is("zoneAware")),
            ("tableSize", Is("consistentHash.tableSize")),
        ],
    ),
    (
        "loadBalancer.leastRequest",
        &[
            ("slowStart", Is("spec.loadBalancer.slowStart")),
            ("slowStartConfig", Is("spec.loadBalancer.slowStart")),
        ],
    ),
    (
        "loadBalancer.slowStart",
        &[
            ("duration", Is("window")),
            ("slowStartWindow", Is("window")),
        ],
    ),
    (
        "loadBalancer.consistentHash",
        &[
            ("httpHeaderName", Is("header.name")),
            ("httpCookie", Is("cookie")),
            ("httpQueryParameterName", Is("queryParams[].name")),
            ("useSourceIp", Says("it is type: SourceIP here")),
            ("sourceIP", Says("it is type: SourceIP here")),
            ("maglev", Is("tableSize")),
            ("ringHash", Is("tableSize")),
        ],
    ),
    (
        "loadBalancer.consistentHash.cookie",
        &[(
            "path",
            Says("it is an entry of attributes here: attributes.Path"),
        )],
    ),
    (
        "loadBalancer.zoneAware.preferLocal",
        &[
            ("routingEnabled", Is("percentageEnabled")),
            ("minClusterSize", Is("minEndpointsThreshold")),
        ],
    ),
    (
        "connection",
        &[
            ("perConnectionBufferLimitBytes", Is("bufferLimit")),
            ("maxConnections", Is("spec.circuitBreaker.maxConnections")),
            ("connectTimeout", Is("spec.timeout.tcp.connectTimeout")),
            ("idleTimeout", Is("spec.timeout.http.connectionIdleTimeout")),
        ],
    ),
    (
        "tcpKeepalive",
        &[
            ("keepaliveProbes", Is("probes")),
            ("keepaliveTime", Is("idleTime")),
            ("time", Is("idleTime")),
            ("keepaliveInterval", Is("interval")),
        ],
    ),
    (
        "http2",
        &[
            ("keepalive", Is("connectionKeepalive")),
            (
                "overrideStreamErrorOnInvalidHttpMessage",
                Is("onInvalidMessage"),
            ),
        ],
    ),
    (
        "telemetry.tracing",
        &[
            ("samplingRate", Is("samplingFraction")),
            ("randomSampling", Is("samplingFraction")),
            ("clientSampling", Is("clientSamplingFraction")),
            ("overallSampling", Is("overallSamplingFraction")),
        ],
    ),
];

pub(super) const VALUES: Words = &[
    (
        "loadBalancer.type",
        &[
            ("Maglev", Is("ConsistentHash")),
            ("RingHash", Is("ConsistentHash")),
            ("chash", Is("ConsistentHash")),
            ("Cookie", Is("ConsistentHash")),
            ("RequestHash", Is("ConsistentHash")),
            ("ConsistentHashing", Is("ConsistentHash")),
            ("LeastConn", Is("LeastRequest")),
            ("LeastConnections", Is("LeastRequest")),
            ("WeightedLeastRequest", Is("LeastRequest")),
            ("ClientSideWeightedRoundRobin", Is("BackendUtilization")),
        ],
    ),
    (
        "bandwidthLimit.*.limit.unit",
        &[
            ("s", Is("Second")),
            ("1s", Is("Second")),
            ("sec", Is("Second")),
            ("m", Is("Minute")),
            ("1m", Is("Minute")),
            ("min", Is("Minute")),
            ("h", Is("Hour")),
            ("1h", Is("Hour")),
        ],
    ),
    (
        "dns.lookupFamily",
        &[
            ("V4_ONLY", Is("IPv4")),
            ("V6_ONLY", Is("IPv6")),
            ("V4_PREFERRED", Is("IPv4Preferred")),
            ("AUTO", Is("IPv6Preferred")),
            ("ALL", Is("IPv4AndIPv6")),
        ],
    ),
];

pub(super) const BARE: Bare = &[
    ("timeout", "http.requestTimeout"),
    ("loadBalancer", "type"),
    ("circuitBreaker.retryBudget.percent", "numerator"),
    ("telemetry.tracing.samplingFraction", "numerator"),
    ("telemetry.tracing.clientSamplingFraction", "numerator"),
    ("telemetry.tracing.overallSamplingFraction", "numerator"),
];
