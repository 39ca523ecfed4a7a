//! `spec` itself: its fields, who puts them into force, and the rules between
//! them.

use super::admission_control::schema::ADMISSION_CONTROL;
use super::bandwidth_limit::schema::BANDWIDTH_LIMIT;
use super::circuit_breaker::schema::CIRCUIT_BREAKER;
use super::compression::schema::COMPRESSION;
use super::connection::schema::CONNECTION;
use super::dns::schema::DNS;
use super::doubles::no_double_type;
use super::fault_injection::schema::FAULT_INJECTION;
use super::health_check::schema::HEALTH_CHECK;
use super::http_upgrade::schema::HTTP_UPGRADE;
use super::http2::schema::HTTP2;
use super::load_balancer::schema::LOAD_BALANCER;
use super::proxy_protocol::schema::PROXY_PROTOCOL;
use super::rate_limit::schema::RATE_LIMIT;
use super::request_buffer::schema::REQUEST_BUFFER;
use super::response_override::schema::RESPONSE_OVERRIDE;
use super::retry::schema::RETRY;
use super::retry_constraint::schema::RETRY_CONSTRAINT;
use super::session_persistence::schema::SESSION_PERSISTENCE;
use super::targets::schema::{TARGET_REF, TARGET_SELECTOR};
use super::tcp_keepalive::schema::TCP_KEEPALIVE;
use super::telemetry::schema::TELEMETRY;
use super::timeout::schema::TIMEOUT;
use crate::code::Code;
use crate::owner::{Capability, Owner};
use crate::schema::shape::*;

/// `spec`, all of it.
pub static SPEC: Object = object(
    &[
        optional(
            "targetRef",
            "The object that the policy targets; deprecated, write targetRefs.",
            Shape::Object(&TARGET_REF),
        )
        .example(concat!(
            "group: gateway.networking.k8s.io\n",
            "kind: HTTPRoute\n",
            "name: orders"
        ))
        .by(Owner::Attachment),
        optional(
            "targetRefs",
            "Objects that the policy targets, by name, in its own namespace.",
            many(&Shape::Object(&TARGET_REF)),
        )
        .or("everything the filter sees, if there are no targetSelectors either")
        .example(concat!(
            "- group: gateway.networking.k8s.io\n",
            "  kind: HTTPRoute\n",
            "  name: orders"
        ))
        .by(Owner::Attachment),
        optional(
            "targetSelectors",
            "Objects that the policy targets, by their labels.",
            many(&Shape::Object(&TARGET_SELECTOR)),
        )
        .example(concat!(
            "- kind: HTTPRoute\n",
            "  matchLabels:\n",
            "    team: shop"
        ))
        .by(Owner::Attachment),
        optional(
            "mergeType",
            "How a route's policy is merged with its Gateway's policy: StrategicMerge keeps the \
             parent's items in some lists, JSONMerge replaces lists. Only if all targets are \
             routes.",
            ours(&ANY_TEXT, &Shape::Choice(&["StrategicMerge", "JSONMerge"])),
        )
        .or("the route's policy replaces the Gateway's")
        .example("StrategicMerge")
        .by(Owner::Attachment),
        optional(
            "routingType",
            "Whether requests go to a Service's address or to its endpoints; an Envoy outside \
             Kubernetes has only the endpoints that its clusters list.",
            ours(&ANY_TEXT, &Shape::Choice(&["Service", "Endpoint"])),
        )
        .example("Service")
        .by(Owner::Envoy),
        optional(
            "useClientProtocol",
            "true uses the client's HTTP version for the upstream, too.",
            Shape::Boolean,
        )
        .or("false")
        .example("true")
        .by(Owner::Envoy),
        optional(
            "responseOverride",
            "Replaces or changes responses; the first rule that matches applies.",
            many(&Shape::Object(&RESPONSE_OVERRIDE)),
        )
        .example(concat!(
            "- match:\n",
            "    statusCodes:\n",
            "      - type: Range\n",
            "        range: {start: 500, end: 599}\n",
            "  response:\n",
            "    contentType: application/json\n",
            "    body:\n",
            "      inline: '{\"error\": \"try again later\"}'"
        ))
        .by(Owner::Filter(Capability::ResponseOverride)),
        optional(
            "requestBuffer",
            "Limits the size and the duration of request bodies, and sets whether they are \
             buffered.",
            Shape::Object(&REQUEST_BUFFER),
        )
        .example("limit: 1Mi")
        .by(Owner::Filter(Capability::RequestBuffer)),
        optional(
            "faultInjection",
            "Injects delays and errors, to test how clients handle them.",
            Shape::Object(&FAULT_INJECTION),
        )
        .example(concat!(
            "delay:\n",
            "  fixedDelay: 200ms\n",
            "  percentage: 5"
        ))
        .by(Owner::Filter(Capability::FaultInjection)),
        optional(
            "rateLimit",
            "Limits the rate of requests, and the number of requests in flight.",
            Shape::Object(&RATE_LIMIT),
        )
        .example(concat!(
            "local:\n",
            "  rules:\n",
            "    - clientSelectors:\n",
            "        - path: {value: /api}\n",
            "          sourceCIDR: {type: Distinct, value: 0.0.0.0/0}\n",
            "      limit: {requests: 100, unit: Minute}\n",
            "    - clientSelectors:\n",
            "        - path: {value: /api}\n",
            "          sourceCIDR: {type: Distinct, value: \"::/0\", prefixLength: 64}\n",
            "      limit: {requests: 100, unit: Minute}"
        ))
        .by(Owner::Filter(Capability::RateLimit)),
        optional(
            "circuitBreaker",
            "Limits the connections and requests that each Envoy has to a cluster.",
            Shape::Object(&CIRCUIT_BREAKER),
        )
        .or(
            "the cluster's own limits; Envoy's are 1024, and 3 for retries, which retry \
             raises to 1024",
        )
        .example(concat!(
            "maxConnections: 200\n",
            "maxPendingRequests: 100\n",
            "maxParallelRequests: 400"
        ))
        .by(Owner::Envoy),
        optional(
            "retry",
            "Retries failed requests; an empty object sets Envoy Gateway's defaults.",
            Shape::Object(&RETRY),
        )
        .or("the route's own retries, else none")
        .example(concat!(
            "numRetries: 3\n",
            "retryOn:\n",
            "  triggers: [connect-failure, retriable-status-codes]\n",
            "  httpStatusCodes: [503]"
        ))
        .by(Owner::Filter(Capability::Retry)),
        extension(
            "retryConstraint",
            "Limits retries to a share of all requests, over all workers (GEP-3388).",
            Shape::Object(&RETRY_CONSTRAINT),
        )
        .or("no bound")
        .example("budget: {percent: 20, interval: 10s}")
        .by(Owner::Filter(Capability::Retry)),
        optional(
            "healthCheck",
            "How Envoy finds unhealthy endpoints and avoids them.",
            Shape::Object(&HEALTH_CHECK),
        )
        .or("the cluster's own checks, else every endpoint counts as healthy")
        .example(concat!(
            "active:\n",
            "  type: HTTP\n",
            "  http:\n",
            "    path: /healthz\n",
            "    expectedStatuses: [200]"
        ))
        .by(Owner::Envoy),
        optional(
            "timeout",
            "How long requests, connections and attempts to connect may take.",
            Shape::Object(&TIMEOUT),
        )
        .example(concat!("http:\n", "  requestTimeout: 5s"))
        .by(Owner::Envoy),
        optional(
            "loadBalancer",
            "How Envoy chooses an endpoint for a request.",
            Shape::Object(&LOAD_BALANCER),
        )
        .or("the cluster's own balancer")
        .example(concat!("type: LeastRequest\n", "slowStart: {window: 30s}"))
        .by(Owner::Envoy),
        extension(
            "sessionPersistence",
            "Keeps a client at its first endpoint, by a cookie or a header (GEP-1619).",
            Shape::Object(&SESSION_PERSISTENCE),
        )
        .or("each request is balanced anew")
        .example(concat!(
            "type: Cookie\n",
            "absoluteTimeout: 1h\n",
            "cookie: {name: shop-session, lifetimeType: Permanent}"
        ))
        .by(Owner::Envoy),
        optional(
            "admissionControl",
            "Rejects more requests at random as more of them fail, so that overloaded upstreams \
             can recover.",
            Shape::Object(&ADMISSION_CONTROL),
        )
        .or("no request is rejected")
        .example(concat!("minSuccessRate: 90\n", "samplingWindow: 30s"))
        .by(Owner::Envoy),
        optional(
            "bandwidthLimit",
            "Limits the bytes of bodies per unit of time, for all requests of a route together.",
            Shape::Object(&BANDWIDTH_LIMIT),
        )
        .example(concat!(
            "response:\n",
            "  limit: {value: 1Mi, unit: Second}"
        ))
        .by(Owner::Envoy),
        optional(
            "compression",
            "Compresses responses; deprecated, write compressor.",
            many(&Shape::Object(&COMPRESSION)),
        )
        .example("- type: Gzip")
        .checked(no_double_type)
        .by(Owner::Envoy),
        optional(
            "compressor",
            "Compresses responses for clients that accept it; if a client accepts two equally, \
             the first in the list is used.",
            many(&Shape::Object(&COMPRESSION)),
        )
        .or("only the connection manager's own compressors")
        .example(concat!(
            "- type: Brotli\n",
            "  brotli: {}\n",
            "- type: Gzip\n",
            "  gzip: {}"
        ))
        .checked(no_double_type)
        .by(Owner::Envoy),
        optional(
            "httpUpgrade",
            "Protocols that a request may upgrade to; others that the connection manager allows \
             are disabled.",
            many(&Shape::Object(&HTTP_UPGRADE)),
        )
        .or("what the connection manager allows")
        .example("- type: websocket")
        .checked(no_double_type)
        .by(Owner::Envoy),
        optional(
            "telemetry",
            "Metric names of a route, and tracing of its requests.",
            Shape::Object(&TELEMETRY),
        )
        .example(concat!("metrics:\n", "  routeStatName: \"%ROUTE_NAME%\""))
        .by(Owner::Envoy),
        optional(
            "connection",
            "Buffers of the connections to upstreams, and connections that are opened in advance.",
            Shape::Object(&CONNECTION),
        )
        .example("bufferLimit: 64Ki")
        .by(Owner::Envoy),
        optional(
            "dns",
            "How Envoy resolves the names of upstreams.",
            Shape::Object(&DNS),
        )
        .example(concat!("dnsRefreshRate: 10s\n", "respectDnsTtl: false"))
        .by(Owner::Envoy),
        optional(
            "http2",
            "Settings of HTTP/2 to upstreams; they do not enable HTTP/2.",
            Shape::Object(&HTTP2),
        )
        .example("maxConcurrentStreams: 200")
        .by(Owner::Envoy),
        optional(
            "proxyProtocol",
            "Sends upstreams the client's address by the PROXY protocol, at the beginning of each \
             connection.",
            Shape::Object(&PROXY_PROTOCOL),
        )
        .or("the cluster's own, else not sent")
        .example("version: V2")
        .by(Owner::Envoy),
        optional(
            "tcpKeepalive",
            "Lets the operating system probe idle connections to upstreams, to detect dead peers.",
            Shape::Object(&TCP_KEEPALIVE),
        )
        .or("the cluster's own, else no probes")
        .example(concat!("idleTime: 60s\n", "interval: 10s\n", "probes: 3"))
        .by(Owner::Envoy),
    ],
    &[
        rule(
            Code::ExcludedField,
            "must not have both compression and compressor",
            |spec| !(has(spec, "compression") && has(spec, "compressor")),
        ),
        rule(
            Code::ExcludedField,
            "must have loadBalancer.type Random or RoundRobin for \
             connection.preconnect.predictivePercent",
            |spec| {
                let preconnect = spec
                    .field("connection")
                    .and_then(|it| it.field("preconnect"));
                let predictive = preconnect.is_some_and(|it| has(it, "predictivePercent"));
                let balancer = spec.field("loadBalancer");
                let kind = balancer.map_or("", |it| text_in(it, "type", ""));
                !predictive || matches!(kind, "Random" | "RoundRobin")
            },
        ),
    ],
);

/// The side that enforces the field `name` of `spec`; `None` if there is no such field.
#[must_use]
pub fn owner_of(name: &str) -> Option<Owner> {
    SPEC.field(name).and_then(|field| field.owner)
}

/// The side that enforces the field at this path of a `spec`, set by the innermost field
/// that has one. Items of lists have no step of their own. `None` if there is no such
/// field.
#[cfg(feature = "schema")]
#[must_use]
pub fn owner_at(path: &[&str]) -> Option<Owner> {
    let (first, below) = path.split_first()?;
    let mut field = SPEC.field(first)?;
    let mut owner = field.owner;
    for name in below {
        let Some(next) = field.shape.object().and_then(|object| object.field(name)) else {
            break;
        };
        field = next;
        owner = field.owner.or(owner);
    }
    owner
}

#[cfg(all(test, feature = "schema"))]
mod tests;
