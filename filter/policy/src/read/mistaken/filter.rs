//! Mistaken names in fields that the filter itself reads, and their values.

use super::Here::{self, Is, Says};
use super::{Bare, Words};

const OTHER_POLICY: Here = Says("it is in Envoy Gateway's SecurityPolicy; leave it out here");
const CLIENTS: Here = Says("it is in Envoy Gateway's ClientTrafficPolicy; leave it out here");
const ANOTHER_HOST: Here =
    Says("a retry goes to another host anyway, as with Envoy Gateway; leave it out");
const BUDGET: Here = Says(
    "it is spec.retryConstraint.budget here (share of the requests in a window), or \
     spec.circuitBreaker.retryBudget (share of those in flight)",
);
const BACKEND: Here = Says("attach the policy to the routes that lead there, or to the Gateway");
const SERVICE: Here =
    Says("attach it to the routes that lead there, or write an XBackendTrafficPolicy");
const OTHER_API: Here = Says("a policy is for routes and Gateways of the Gateway API");

pub(super) const FIELDS: Words = &[
    (
        "",
        &[
            ("retries", Is("retry")),
            ("retryPolicy", Is("retry")),
            ("retryBudget", BUDGET),
            ("outlierDetection", Is("healthCheck.passive")),
            ("passiveHealthCheck", Is("healthCheck.passive")),
            ("activeHealthCheck", Is("healthCheck.active")),
            ("fault", Is("faultInjection")),
            ("localRateLimit", Is("rateLimit.local")),
            ("globalRateLimit", Is("rateLimit.global")),
            ("rateLimitPolicy", Is("rateLimit")),
            ("buffer", Is("requestBuffer")),
            ("buffering", Is("requestBuffer")),
            ("localReplyConfig", Is("responseOverride")),
            ("customResponse", Is("responseOverride")),
            ("errorPages", Is("responseOverride")),
            (
                "trafficPolicy",
                Says("its fields are in spec itself; leave it out"),
            ),
            (
                "connectionPool",
                Says("its limits are in circuitBreaker here, its timeouts in timeout"),
            ),
            ("lbPolicy", Is("loadBalancer.type")),
            ("loadBalancerPolicy", Is("loadBalancer")),
            ("consistentHash", Is("loadBalancer.consistentHash")),
            ("slowStart", Is("loadBalancer.slowStart")),
            ("zoneAware", Is("loadBalancer.zoneAware")),
            ("requestTimeout", Is("timeout.http.requestTimeout")),
            ("idleTimeout", Is("timeout.http.connectionIdleTimeout")),
            ("connectTimeout", Is("timeout.tcp.connectTimeout")),
            ("maxConnections", Is("circuitBreaker.maxConnections")),
            ("cors", OTHER_POLICY),
            ("jwt", OTHER_POLICY),
            ("oidc", OTHER_POLICY),
            ("basicAuth", OTHER_POLICY),
            ("apiKeyAuth", OTHER_POLICY),
            ("extAuth", OTHER_POLICY),
            ("authorization", OTHER_POLICY),
            ("clientIPDetection", CLIENTS),
            ("http1", CLIENTS),
            ("http3", CLIENTS),
            ("enableProxyProtocol", CLIENTS),
        ],
    ),
    (
        "targetRefs[]",
        &[
            ("apiVersion", Is("group")),
            ("section", Is("sectionName")),
            ("listener", Is("sectionName")),
            ("labels", Is("spec.targetSelectors[].matchLabels")),
        ],
    ),
    (
        "targetSelectors[]",
        &[
            ("labels", Is("matchLabels")),
            ("name", Is("spec.targetRefs[].name")),
            ("namespace", Is("namespaces")),
        ],
    ),
    (
        "retry",
        &[
            ("retries", Is("numRetries")),
            ("count", Is("numRetries")),
            ("perRetryTimeout", Is("perRetry.timeout")),
            ("baseInterval", Is("perRetry.backOff.baseInterval")),
            ("initialInterval", Is("perRetry.backOff.baseInterval")),
            ("maxInterval", Is("perRetry.backOff.maxInterval")),
            ("statusCodes", Is("retryOn.httpStatusCodes")),
            ("httpStatusCodes", Is("retryOn.httpStatusCodes")),
            ("retriableStatusCodes", Is("retryOn.httpStatusCodes")),
            ("triggers", Is("retryOn.triggers")),
            ("conditions", Is("retryOn.conditions")),
            ("retryPriority", Is("numAttemptsPerPriority")),
            ("retryHostPredicate", ANOTHER_HOST),
            ("hostSelectionRetryMaxAttempts", ANOTHER_HOST),
            ("budget", BUDGET),
            ("retryBudget", BUDGET),
        ],
    ),
    (
        "retry.perRetry",
        &[
            ("baseInterval", Is("backOff.baseInterval")),
            ("maxInterval", Is("backOff.maxInterval")),
            ("numRetries", Is("spec.retry.numRetries")),
        ],
    ),
    (
        "retry.perRetry.backOff",
        &[
            ("initialInterval", Is("baseInterval")),
            ("base", Is("baseInterval")),
            ("max", Is("maxInterval")),
        ],
    ),
    (
        "retry.retryOn",
        &[
            ("codes", Is("httpStatusCodes")),
            ("statusCodes", Is("httpStatusCodes")),
            ("retriableStatusCodes", Is("httpStatusCodes")),
            ("methods", Is("conditions[].methods")),
        ],
    ),
    (
        "retryConstraint",
        &[
            ("percent", Is("budget.percent")),
            ("minRetriesPerSecond", Is("minRetryRate.count")),
            (
                "minRetryConcurrency",
                Is("spec.circuitBreaker.retryBudget.minRetryConcurrency"),
            ),
        ],
    ),
    (
        "rateLimit.*",
        &[
            ("limit", Is("rules[].limit")),
            ("tokenBucket", Is("rules[].limit")),
            ("clientSelectors", Is("rules[].clientSelectors")),
            ("shadowMode", Is("rules[].shadowMode")),
        ],
    ),
    (
        "rateLimit.*.rules[]",
        &[
            ("requests", Is("limit.requests")),
            ("unit", Is("limit.unit")),
            ("tokenBucket", Is("limit")),
            ("headers", Is("clientSelectors[].headers")),
            ("methods", Is("clientSelectors[].methods")),
            ("path", Is("clientSelectors[].path")),
            ("sourceCIDR", Is("clientSelectors[].sourceCIDR")),
            ("match", Is("clientSelectors")),
            ("matches", Is("clientSelectors")),
        ],
    ),
    (
        "rateLimit.*.rules[].limit",
        &[
            ("requestsPerUnit", Is("requests")),
            ("tokensPerFill", Is("requests")),
            ("average", Is("requests")),
            ("count", Is("requests")),
            ("fillInterval", Is("unit")),
            ("interval", Is("unit")),
            ("period", Is("unit")),
            ("window", Is("unit")),
        ],
    ),
    (
        "rateLimit.local.rules[].limit",
        &[("maxTokens", Is("burst"))],
    ),
    ("rateLimit.*.rules[].clientSelectors[]", SELECTOR),
    ("faultInjection.match[]", SELECTOR),
    ("responseOverride[].match.requests[]", SELECTOR),
    (
        "faultInjection",
        &[
            ("headers", Is("match[].headers")),
            ("httpStatus", Is("abort.httpStatus")),
            ("fixedDelay", Is("delay.fixedDelay")),
            (
                "percentage",
                Says("delay and abort have their own: delay.percentage, abort.percentage"),
            ),
        ],
    ),
    (
        "faultInjection.delay",
        &[
            ("duration", Is("fixedDelay")),
            ("httpDelay", Is("fixedDelay")),
        ],
    ),
    (
        "faultInjection.abort",
        &[
            ("status", Is("httpStatus")),
            ("statusCode", Is("httpStatus")),
            ("httpStatusCode", Is("httpStatus")),
            ("code", Is("httpStatus")),
        ],
    ),
    (
        "requestBuffer",
        &[
            ("maxRequestBytes", Is("limit")),
            ("maxRequestBodyBytes", Is("limit")),
            ("maxBytes", Is("limit")),
            ("size", Is("limit")),
        ],
    ),
    (
        "responseOverride[]",
        &[
            ("statusCodes", Is("match.statusCodes")),
            ("statusCode", Is("response.statusCode")),
            ("body", Is("response.body")),
            ("contentType", Is("response.contentType")),
        ],
    ),
    (
        "responseOverride[].match",
        &[
            ("status", Is("statusCodes")),
            ("codes", Is("statusCodes")),
            ("headers", Is("responseHeaders")),
        ],
    ),
    (
        "responseOverride[].response",
        &[
            ("status", Is("statusCode")),
            ("bodyFormat", Is("body")),
            ("inline", Is("body.inline")),
        ],
    ),
    (
        "responseOverride[].response.body",
        &[
            ("text", Is("inline")),
            ("inlineString", Is("inline")),
            ("textFormat", Is("inline")),
            ("configMap", Is("valueRef")),
            ("configMapRef", Is("valueRef")),
        ],
    ),
];

const SELECTOR: &[(&str, Here)] = &[
    ("sourceIP", Is("sourceCIDR")),
    ("remoteAddress", Is("sourceCIDR")),
    ("cidr", Is("sourceCIDR")),
    ("pathPrefix", Is("path")),
    ("query", Is("queryParams")),
    ("queryParameters", Is("queryParams")),
];

pub(super) const VALUES: Words = &[
    ("targetRefs[].kind", NO_TARGETS),
    ("targetSelectors[].kind", NO_TARGETS),
    (
        "mergeType",
        &[
            ("Strategic", Is("StrategicMerge")),
            ("Merge", Is("StrategicMerge")),
            ("JSON", Is("JSONMerge")),
            ("Replace", Says("without it a policy replaces its parent")),
        ],
    ),
    (
        "rateLimit.*.rules[].limit.unit",
        &[
            ("s", Is("Second")),
            ("1s", Is("Second")),
            ("sec", Is("Second")),
            ("m", Is("Minute")),
            ("1m", Is("Minute")),
            ("min", Is("Minute")),
            ("60s", Is("Minute")),
            ("h", Is("Hour")),
            ("1h", Is("Hour")),
            ("d", Is("Day")),
            ("1d", Is("Day")),
            ("24h", Is("Day")),
        ],
    ),
    ("**.headers[].type", &[("Regex", REGEX)]),
    ("**.queryParams[].type", &[("Regex", REGEX)]),
    (
        "**.path.type",
        &[("Regex", REGEX), ("Prefix", Is("PathPrefix"))],
    ),
    (
        "**.responseHeaders[].value.type",
        &[("Regex", REGEX), ("PathPrefix", Is("Prefix"))],
    ),
    (
        "responseOverride[].source",
        &[("Upstream", Is("Backend")), ("Envoy", Is("Local"))],
    ),
];

const REGEX: Here = Is("RegularExpression");

const NO_TARGETS: &[(&str, Here)] = &[
    ("Service", SERVICE),
    ("Backend", BACKEND),
    ("Deployment", BACKEND),
    ("VirtualService", OTHER_API),
    ("Ingress", OTHER_API),
];

pub(super) const BARE: Bare = &[
    ("retry", "numRetries"),
    ("retry.perRetry.backOff", "baseInterval"),
    ("faultInjection.delay", "fixedDelay"),
    ("faultInjection.abort", "httpStatus"),
    ("requestBuffer", "limit"),
    ("responseOverride[].match.statusCodes[]", "value"),
    ("responseOverride[].response.body", "inline"),
    ("**.sourceCIDR", "value"),
    ("**.methods[]", "value"),
];
