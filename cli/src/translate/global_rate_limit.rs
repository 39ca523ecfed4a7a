//! `rateLimit.global`: what Envoy asks a rate limit service, and the file by
//! which that service knows the limits.
//!
//! A rule becomes a descriptor: entries that Envoy makes of a request, in order
//! and only if the request meets the rule's conditions. The service has a counter
//! for each descriptor that its file names. Envoy Gateway has the same mapping;
//! its keys do not name the rule, so that it loses the second of two rules with
//! one address range. Here every key does.
//!
//! One domain holds all rules, so that a request is one question whatever number
//! of rules counts it.

mod counter;
mod descriptor;
mod envoy_format;
mod key;
mod limitador_format;
mod path_regex;
mod rule;
mod service;
#[cfg(test)]
mod tests;

use btp_policy::Code;
use btp_policy::node::Node;

use super::change::Changes;
pub(crate) use counter::Counters;
pub(crate) use descriptor::per_route;
pub(crate) use key::RouteKey;
pub(crate) use rule::{Rule, Source, is_local_only, rules};
pub(crate) use service::NAME;
pub use service::{Domain, Format, Service};

/// The field, below `spec`.
pub(crate) const FIELD: &str = "rateLimit.global";

/// Refuses what the format of the service's file cannot say of the rules of a
/// `spec`.
pub(super) fn check(spec: &Node, format: Format, out: &mut Changes) {
    if format == Format::Limitador {
        for (index, rule) in rule::of_spec(spec).iter().enumerate() {
            for (field, reason) in limitador_format::missing(rule) {
                out.refuse(
                    &format!("{FIELD}.rules[{index}].{field}"),
                    Code::UnknownToService,
                    reason,
                );
            }
        }
    }
}

/// The file by which a service knows its counters.
pub(crate) fn file(counters: &Counters, service: &Service) -> String {
    match service.format {
        Format::Envoy => envoy_format::file(counters, &service.domain),
        Format::Limitador => limitador_format::file(counters, &service.domain),
    }
}
