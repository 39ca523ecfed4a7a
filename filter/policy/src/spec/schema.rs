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
            "The one object that the policy is for; deprecated, write targetRefs.",
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
            "Objects that the policy is for, by name, in its own namespace.",
            many(&Shape::Object(&TARGET_REF)),
        )
        .or("with no selectors either, everything the filter sees")
        .example(concat!(
            "- group: gateway.networking.k8s.io\n",
            "  kind: HTTPRoute\n",
            "  name: orders"
        ))
        .by(Owner::Attachment),
        optional(
            "targetSelectors",
            "Objects that the policy is for, by their labels.",
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
            "How a route's policy is merged with that of its Gateway: StrategicMerge \
             keeps the parent's items in some lists, JSONMerge replaces lists. Only \
             where all targets are routes.",
            ours(&ANY_TEXT, &Shape::Choice(&["StrategicMerge", "JSONMerge"])),
        )
        .or("the route's policy takes the place of the Gateway's")
        .example("StrategicMerge")
        .by(Owner::Attachment),
        optional(
            "routingType",
            "Whether requests go to a Service's address or to its endpoints; an Envoy outside \
             of Kubernetes has only what its clusters list.",
            ours(&ANY_TEXT, &Shape::Choice(&["Service", "Endpoint"])),
        )
        .example("Service")
        .by(Owner::Envoy),
        optional(
            "useClientProtocol",
            "With true the upstream is spoken to in the HTTP version that the client uses.",
            Shape::Boolean,
        )
        .or("false")
        .example("true")
        .by(Owner::Envoy),
        optional(
            "responseOverride",
            "Other responses in place of those that came; the first rule that matches is taken.",
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
            "How large a request's body may be, how slowly it may come, and whether it is \
             gathered first.",
            Shape::Object(&REQUEST_BUFFER),
        )
        .example("limit: 1Mi")
        .by(Owner::Filter(Capability::RequestBuffer)),
        optional(
            "faultInjection",
            "Delays and errors that are injected on purpose, to try out how clients bear them.",
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
            "How many requests may pass in a time, or be in flight at once.",
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
            "How much each Envoy may have under way to a cluster.",
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
            "Tries requests again that have failed; an empty object has Envoy Gateway's \
             defaults.",
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
            "Bounds retries by a share of all requests, over all workers, as GEP-3388 has it.",
            Shape::Object(&RETRY_CONSTRAINT),
        )
        .or("no bound")
        .example("budget: {percent: 20, interval: 10s}")
        .by(Owner::Filter(Capability::Retry)),
        optional(
            "healthCheck",
            "Which endpoints are healthy enough to get requests.",
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
            "How an endpoint is chosen for a request.",
            Shape::Object(&LOAD_BALANCER),
        )
        .or("the cluster's own balancer")
        .example(concat!("type: LeastRequest\n", "slowStart: {window: 30s}"))
        .by(Owner::Envoy),
        extension(
            "sessionPersistence",
            "Keeps a client with the endpoint that it had first, by a cookie or a header, as \
             GEP-1619 has it.",
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
            "Turns requests away at random as more of them fail, so that upstreams that are \
             overloaded can recover.",
            Shape::Object(&ADMISSION_CONTROL),
        )
        .or("every request is let through")
        .example(concat!("minSuccessRate: 90\n", "samplingWindow: 30s"))
        .by(Owner::Envoy),
        optional(
            "bandwidthLimit",
            "How many bytes of bodies pass in a time, all requests of a route together.",
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
            "Compresses responses for clients that accept it; of two equally good the first in \
             the list is taken.",
            many(&Shape::Object(&COMPRESSION)),
        )
        .or("no compressors but the connection manager's own")
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
            "Protocols that a request may change to; others that the connection manager \
             allows are switched off.",
            many(&Shape::Object(&HTTP_UPGRADE)),
        )
        .or("what the connection manager allows")
        .example("- type: websocket")
        .checked(no_double_type)
        .by(Owner::Envoy),
        optional(
            "telemetry",
            "Names under which a route is counted, and what is traced of its requests.",
            Shape::Object(&TELEMETRY),
        )
        .example(concat!("metrics:\n", "  routeStatName: \"%ROUTE_NAME%\""))
        .by(Owner::Envoy),
        optional(
            "connection",
            "Buffers of the connections to upstreams, and connections that are opened ahead.",
            Shape::Object(&CONNECTION),
        )
        .example("bufferLimit: 64Ki")
        .by(Owner::Envoy),
        optional(
            "dns",
            "How the names of upstreams are resolved.",
            Shape::Object(&DNS),
        )
        .example(concat!("dnsRefreshRate: 10s\n", "respectDnsTtl: false"))
        .by(Owner::Envoy),
        optional(
            "http2",
            "Settings of HTTP/2 to upstreams; it does not switch HTTP/2 on by itself.",
            Shape::Object(&HTTP2),
        )
        .example("maxConcurrentStreams: 200")
        .by(Owner::Envoy),
        optional(
            "proxyProtocol",
            "Tells upstreams the client's address by the PROXY protocol, at the beginning of \
             each connection.",
            Shape::Object(&PROXY_PROTOCOL),
        )
        .or("not told, unless the cluster says so")
        .example("version: V2")
        .by(Owner::Envoy),
        optional(
            "tcpKeepalive",
            "Has the operating system probe quiet connections to upstreams, so that a peer that \
             is gone is noticed.",
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
