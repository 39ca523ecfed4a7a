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
use super::routing::checks::routing_type;
use super::targets::schema::{TARGET_REF, TARGET_SELECTOR};
use super::tcp_keepalive::schema::TCP_KEEPALIVE;
use super::telemetry::schema::TELEMETRY;
use super::timeout::schema::TIMEOUT;
use crate::code::Code;
use crate::owner::{ByHand, Capability, Owner};
use crate::schema::shape::*;

/// `spec`, all of it.
pub static SPEC: Object = object(
    &[
        optional("targetRef", Shape::Object(&TARGET_REF)).by(Owner::Attachment),
        optional("targetRefs", many(&Shape::Object(&TARGET_REF))).by(Owner::Attachment),
        optional("targetSelectors", many(&Shape::Object(&TARGET_SELECTOR))).by(Owner::Attachment),
        optional("mergeType", ANY_TEXT).by(Owner::Attachment),
        optional("routingType", ANY_TEXT)
            .checked(routing_type)
            .by(Owner::Envoy),
        optional("useClientProtocol", Shape::Boolean).by(Owner::Envoy),
        optional("responseOverride", many(&Shape::Object(&RESPONSE_OVERRIDE)))
            .by(Owner::Filter(Capability::ResponseOverride)),
        optional("requestBuffer", Shape::Object(&REQUEST_BUFFER))
            .by(Owner::Filter(Capability::RequestBuffer)),
        optional("faultInjection", Shape::Object(&FAULT_INJECTION))
            .by(Owner::Filter(Capability::FaultInjection)),
        optional("rateLimit", Shape::Object(&RATE_LIMIT)).by(Owner::Filter(Capability::RateLimit)),
        optional("circuitBreaker", Shape::Object(&CIRCUIT_BREAKER)).by(Owner::Envoy),
        optional("retry", Shape::Object(&RETRY)).by(Owner::Filter(Capability::Retry)),
        extension("retryConstraint", Shape::Object(&RETRY_CONSTRAINT))
            .by(Owner::Filter(Capability::Retry)),
        optional("healthCheck", Shape::Object(&HEALTH_CHECK)).by(Owner::Envoy),
        optional("timeout", Shape::Object(&TIMEOUT)).by(Owner::Envoy),
        optional("loadBalancer", Shape::Object(&LOAD_BALANCER)).by(Owner::Envoy),
        optional("admissionControl", Shape::Object(&ADMISSION_CONTROL))
            .by(Owner::Nobody(ByHand::AdmissionControl)),
        optional("bandwidthLimit", Shape::Object(&BANDWIDTH_LIMIT))
            .by(Owner::Nobody(ByHand::BandwidthLimit)),
        optional("compression", many(&Shape::Object(&COMPRESSION)))
            .checked(no_double_type)
            .by(Owner::Envoy),
        optional("compressor", many(&Shape::Object(&COMPRESSION)))
            .checked(no_double_type)
            .by(Owner::Envoy),
        optional("httpUpgrade", many(&Shape::Object(&HTTP_UPGRADE)))
            .checked(no_double_type)
            .by(Owner::Envoy),
        optional("telemetry", Shape::Object(&TELEMETRY)).by(Owner::Nobody(ByHand::Telemetry)),
        optional("connection", Shape::Object(&CONNECTION)).by(Owner::Envoy),
        optional("dns", Shape::Object(&DNS)).by(Owner::Envoy),
        optional("http2", Shape::Object(&HTTP2)).by(Owner::Envoy),
        optional("proxyProtocol", Shape::Object(&PROXY_PROTOCOL)).by(Owner::Envoy),
        optional("tcpKeepalive", Shape::Object(&TCP_KEEPALIVE)).by(Owner::Envoy),
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

/// Who enforces the field `name` of `spec`; `None` if there is no such field.
#[must_use]
pub fn owner_of(name: &str) -> Option<Owner> {
    let field = SPEC.fields.iter().find(|field| field.name == name);
    field.and_then(|field| field.owner)
}

/// What a person can do where no tool here writes the field `name` of `spec`;
/// `None` for any other field.
#[must_use]
pub fn by_hand(name: &str) -> Option<&'static str> {
    owner_of(name).and_then(Owner::by_hand)
}
