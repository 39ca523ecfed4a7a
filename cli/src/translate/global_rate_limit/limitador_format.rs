//! The limits file of Limitador: a list of limits with conditions in CEL.
//!
//! Limitador evaluates a condition only if it knows every name in it. It knows
//! `descriptors`, the list of a request's descriptors, and no name of a loop; so
//! the loop's variable is called `descriptors`, too.

use btp_policy::native::GlobalRule;
use btp_policy::node::Node;

use super::counter::{Counter, Counters, Part};
use super::service::Domain;
use crate::envoy::json::{IntoNode, list, node, put};
use crate::envoy::text::yaml_out;

const HEAD: &str = "# Written by btp apply: do not edit.\n";

/// The fields of a rule that it has no word for, and why not.
pub(super) fn missing(rule: &GlobalRule) -> Vec<(&'static str, &'static str)> {
    let cost = "is ignored by Limitador, which counts every request as one: leave it out, or \
                use envoyproxy/ratelimit (--rate-limit-format envoy)";
    [
        (rule.request_cost.is_some(), "cost.request", cost),
        (rule.response_cost.is_some(), "cost.response", cost),
        (
            rule.limit.from.is_some(),
            "limit.fromMetadata",
            "is ignored by Limitador, whose limits are those of its file: leave it out, or use \
             envoyproxy/ratelimit (--rate-limit-format envoy)",
        ),
        (
            rule.shadow_mode,
            "shadowMode",
            "is unknown to Limitador, which would refuse requests: leave the rule out, or use \
             envoyproxy/ratelimit (--rate-limit-format envoy)",
        ),
        (
            rule.tells.is_some(),
            "xRateLimitHeaders",
            "has no effect with Limitador, whose option -H enables headers for all limits: leave \
             it out, or use envoyproxy/ratelimit (--rate-limit-format envoy)",
        ),
    ]
    .into_iter()
    .filter_map(|(is_there, field, reason)| is_there.then_some((field, reason)))
    .collect()
}

/// The file of these counters.
pub(super) fn file(counters: &Counters, domain: &Domain) -> String {
    let limits = counters.iter();
    let limits = limits.map(|(parts, counter)| limit(parts, counter, domain));
    HEAD.to_owned() + &yaml_out::write(&list(limits))
}

fn limit(parts: &[Part], counter: &Counter, domain: &Domain) -> Node {
    let seconds = i64::try_from(counter.limit.unit.seconds()).unwrap_or(i64::MAX);
    let met = met(parts);
    let mut limit = node!({
        "namespace": (domain.as_str()),
        "name": (name(parts)),
        "max_value": (counter.limit.requests),
        "seconds": seconds,
        "conditions": [(format!("descriptors.exists(descriptors, {met})"))],
    });
    let own = parts.iter().filter(|part| part.value.is_none());
    let variable =
        |part: &Part| format!("descriptors.filter(descriptors, {met})[0]['{}']", part.key);
    let variables = own.map(|part| variable(part).into_node());
    put(&mut limit, "variables", Some(list(variables)));
    limit
}

/// The condition that a descriptor has these entries. It tests only existing entries,
/// because a missing one would be an error.
fn met(parts: &[Part]) -> String {
    let parts = parts.iter().map(|Part { key, value }| match value {
        Some(value) => format!("'{key}' in descriptors && descriptors['{key}'] == '{value}'"),
        None => format!("'{key}' in descriptors"),
    });
    parts.collect::<Vec<_>>().join(" && ")
}

/// What metrics and headers call it.
fn name(parts: &[Part]) -> String {
    let names = parts.iter().enumerate();
    let names = names.map(|(index, part)| match (&part.value, index) {
        (Some(value), 0) => value.as_str(),
        _ => part.key.as_str(),
    });
    names.collect::<Vec<_>>().join(" ")
}
