//! `spec` itself: its fields and the rules between them.

use crate::code::Code;
use crate::node::Node;

use super::backends::{CIRCUIT_BREAKER, RETRY, RETRY_CONSTRAINT, TIMEOUT};
use super::faults::{
    ADMISSION_CONTROL, BANDWIDTH_LIMIT, COMPRESSION, FAULT_INJECTION, HTTP_UPGRADE, REQUEST_BUFFER,
};
use super::health::HEALTH_CHECK;
use super::limits::RATE_LIMIT;
use super::load_balancing::LOAD_BALANCER;
use super::overrides::{RESPONSE_OVERRIDE, removes_headers};
use super::shape::{
    ANY_TEXT, Object, Shape, extension, has, has_items, items, many, optional, rule, text_in,
};
use super::targets::{TARGET_REF, TARGET_SELECTOR};
use super::telemetry::TELEMETRY;
use super::upstream::{CONNECTION, DNS, HTTP2, PROXY_PROTOCOL, TCP_KEEPALIVE};

/// `spec`, all of it.
pub static SPEC: Object = Object {
    fields: &[
        optional("targetRef", Shape::Object(&TARGET_REF)),
        optional("targetRefs", many(&Shape::Object(&TARGET_REF))),
        optional("targetSelectors", many(&Shape::Object(&TARGET_SELECTOR))),
        optional("mergeType", ANY_TEXT),
        optional("routingType", ANY_TEXT),
        optional("useClientProtocol", Shape::Boolean),
        optional("responseOverride", many(&Shape::Object(&RESPONSE_OVERRIDE))),
        optional("requestBuffer", Shape::Object(&REQUEST_BUFFER)),
        optional("faultInjection", Shape::Object(&FAULT_INJECTION)),
        optional("rateLimit", Shape::Object(&RATE_LIMIT)),
        optional("circuitBreaker", Shape::Object(&CIRCUIT_BREAKER)),
        optional("retry", Shape::Object(&RETRY)),
        extension("retryConstraint", Shape::Object(&RETRY_CONSTRAINT)),
        optional("healthCheck", Shape::Object(&HEALTH_CHECK)),
        optional("timeout", Shape::Object(&TIMEOUT)),
        optional("loadBalancer", Shape::Object(&LOAD_BALANCER)),
        optional("admissionControl", Shape::Object(&ADMISSION_CONTROL)),
        optional("bandwidthLimit", Shape::Object(&BANDWIDTH_LIMIT)),
        optional("compression", many(&Shape::Object(&COMPRESSION))),
        optional("compressor", many(&Shape::Object(&COMPRESSION))),
        optional("httpUpgrade", many(&Shape::Object(&HTTP_UPGRADE))),
        optional("telemetry", Shape::Object(&TELEMETRY)),
        optional("connection", Shape::Object(&CONNECTION)),
        optional("dns", Shape::Object(&DNS)),
        optional("http2", Shape::Object(&HTTP2)),
        optional("proxyProtocol", Shape::Object(&PROXY_PROTOCOL)),
        optional("tcpKeepalive", Shape::Object(&TCP_KEEPALIVE)),
    ],
    rules: &[
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
};

/// Rules of the CRD that the readers of `policy` and `spec` have as their own.
pub(super) static CRD_ONLY: Object = Object {
    fields: &[],
    rules: &[
        rule(
            Code::ExcludedField,
            "must not remove headers in responseOverride[].response.header: an override drops \
             the original ones",
            |spec| !items(spec, "responseOverride").iter().any(removes_headers),
        ),
        rule(
            Code::ExcludedField,
            "must not have both requestBuffer and httpUpgrade: an upgraded \
             connection cannot be buffered",
            |spec| !(has(spec, "requestBuffer") && has_items(spec, "httpUpgrade")),
        ),
        rule(
            Code::NeedsHttpTargets,
            "must target Gateways, ListenerSets, HTTPRoutes or GRPCRoutes for admissionControl",
            |spec| {
                let http = ["Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute"];
                !has(spec, "admissionControl") || target_kinds(spec).all(|it| http.contains(&it))
            },
        ),
        rule(
            Code::NotExactlyOne,
            "must have either targetRef or targetRefs, or targetSelectors",
            |spec| {
                let one = has(spec, "targetRef") != has(spec, "targetRefs");
                one || has_items(spec, "targetSelectors")
            },
        ),
        rule(
            Code::MergeNeedsRoutes,
            "must target only routes (HTTPRoute, GRPCRoute, TCPRoute, UDPRoute, TLSRoute) \
             for mergeType",
            |spec| {
                let route = |kind: &str| kind.ends_with("Route");
                !has(spec, "mergeType") || target_kinds(spec).all(route)
            },
        ),
        rule(
            Code::UnknownChoice,
            "must not have the mergeType Replace",
            |spec| text_in(spec, "mergeType", "") != "Replace",
        ),
        rule(
            Code::WrongConstant,
            "must target objects of the group gateway.networking.k8s.io",
            |spec| {
                let group = "gateway.networking.k8s.io";
                targets(spec).all(|it| text_in(it, "group", group) == group)
            },
        ),
        rule(
            Code::UnknownChoice,
            "must target only the kinds Gateway, ListenerSet, HTTPRoute, GRPCRoute, TCPRoute, \
             UDPRoute and TLSRoute",
            |spec| {
                let refs = items(spec, "targetRefs").iter();
                let mut refs = refs.chain(spec.field("targetRef"));
                refs.all(|it| KINDS.contains(&text_in(it, "kind", "")))
            },
        ),
    ],
};

/// What a policy may target.
const KINDS: [&str; 7] = [
    "Gateway",
    "ListenerSet",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "UDPRoute",
    "TLSRoute",
];

fn targets(spec: &Node) -> impl Iterator<Item = &Node> {
    let refs = items(spec, "targetRefs").iter();
    let selectors = items(spec, "targetSelectors").iter();
    refs.chain(spec.field("targetRef")).chain(selectors)
}

fn target_kinds(spec: &Node) -> impl Iterator<Item = &str> {
    targets(spec).map(|target| text_in(target, "kind", ""))
}
