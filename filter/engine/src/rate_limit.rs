//! `rateLimit.local`: which rules count a request. `decide` says whether it may
//! pass.

mod buckets;
mod compile;
mod counting;
mod decide;
mod gcra;
mod headers;
mod in_flight;
mod leases;
mod limiter;
mod missing_key;
mod overflow;
mod queue;
mod reply;
mod token_bucket;

use std::net::IpAddr;
use std::sync::Arc;

use btp_policy::scalar::network;
use btp_policy::spec::{Mode, Selector, ValueCondition};

use crate::action::Reply;
use crate::host::metrics::CounterId;
use crate::request::Request;
use crate::request::required::RequiredInputs;
use crate::request::selector::{lacks_key, meets, meets_any};
use crate::shared::classes::Class;
use btp_policy::hash::{SipHasher, siphash24};
use headers::HeaderFormat;
use missing_key::MissingKey;
use queue::QueueMetrics;

pub(crate) use buckets::Key;
pub(crate) use compile::LimitsCompiler;
pub use counting::counting_rules;
pub(crate) use decide::{Pass, Verdict};
pub(crate) use headers::LimitHeaders;
pub(crate) use in_flight::{ConcurrencyLimit, InFlight, InFlightKey};
pub(crate) use leases::Leases;
pub(crate) use limiter::Limiter;
pub(crate) use token_bucket::TokenBucket;

/// `rateLimit.local` of one policy, compiled.
#[derive(Debug)]
pub(crate) struct RateLimits {
    /// The default rule, if there is one, comes last.
    rules: Vec<Rule>,
    exempt: Vec<Selector>,
    mode: Mode,
    retry_after: bool,
    required: RequiredInputs,
    /// Whether the route's name matters.
    pub(crate) per_route: bool,
}

#[derive(Debug)]
struct Rule {
    selector: Selector,
    limit: RuleLimit,
    /// The limit on requests in flight: an index into the plan's.
    concurrency: Option<usize>,
    /// The classes of requests in flight, in order of priority.
    classes: Vec<Selector>,
    /// Tells its buckets from those of other rules.
    identity: u64,
    cost: u64,
    per_route: bool,
    shadow: bool,
    headers: HeaderFormat,
    reject: Arc<Reply>,
    /// The reply when the concurrency limit is reached.
    concurrency_limited: Arc<Reply>,
    /// How to treat requests without a required key.
    missing_key: Option<MissingKey>,
    admitted: CounterId,
    queue: Option<QueueMetrics>,
    limited: CounterId,
}

/// What a rule's limit lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleLimit {
    Unlimited,
    DenyAll,
    /// As many as its token bucket has: an index into the plan's limits.
    Bucket(usize),
}

/// A rule that counts a request, and the bucket it takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatchedRule {
    rule: usize,
    pub(crate) key: Key,
    /// It has counted this request already, before Envoy redirected it.
    pub(crate) is_counted: bool,
    /// The request lacks a key that it must have.
    lacks_key: bool,
    class: Class,
}

impl RateLimits {
    /// What must be known of a request to find the rules that count it.
    pub(crate) fn requires(&self) -> RequiredInputs {
        self.required.clone()
    }

    /// Adds the rules that count this request to `matched`, where none is yet. `route` is
    /// a hash of the route's name.
    pub(crate) fn match_rules(
        &self,
        request: &Request<'_>,
        seed: [u64; 2],
        route: u64,
        matched: &mut Vec<MatchedRule>,
    ) {
        if !self.exempt.is_empty() && meets_any(request, &self.exempt) {
            return;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let counts = if rule.selector.is_empty() {
                matched.is_empty()
            } else {
                meets(request, &rule.selector)
            };
            if counts {
                matched.push(MatchedRule {
                    rule: index,
                    key: rule.key(request, seed, route),
                    is_counted: false,
                    lacks_key: rule.missing_key.is_some() && lacks_key(request, &rule.selector),
                    class: rule.class(request),
                });
                if self.mode == Mode::FirstMatch {
                    break;
                }
            }
        }
    }
}

impl Rule {
    /// The class that a request of this rule belongs to.
    fn class(&self, request: &Request<'_>) -> Class {
        let mut classes = self.classes.iter();
        let place = classes.position(|selector| meets(request, selector));
        place.map_or(Class::NONE, Class::at)
    }

    /// The bucket that this request takes from: one for each route and each
    /// combination of `Distinct` values.
    fn key(&self, request: &Request<'_>, seed: [u64; 2], route: u64) -> Key {
        let mut hasher = SipHasher::new(seed);
        hasher.write_u64(self.identity);
        hasher.write_u64(if self.per_route { route } else { 0 });
        let selector = &self.selector;
        for header in &selector.headers {
            if let ValueCondition::Distinct(_) = header.condition {
                write_key(&mut hasher, request.header(header.name.as_str()).as_deref());
            }
        }
        for param in &selector.query_params {
            if let ValueCondition::Distinct(_) = param.condition {
                write_key(&mut hasher, request.query_param(&param.name).as_deref());
            }
        }
        for condition in &selector.metadata {
            if condition.condition.is_distinct() {
                let (value, mut scalar) = (request.metadata(&condition.path), [0; 8]);
                write_key(&mut hasher, value.map(|value| value.key(&mut scalar)));
            }
        }
        // Of several ranges each counts the address by some of its bits: by the most of
        // them they all do.
        let prefixes = selector.sources.iter().filter_map(|it| it.distinct);
        if let (Some(prefix), Some(address)) = (prefixes.max(), request.source()) {
            match network(address, prefix) {
                IpAddr::V4(address) => hasher.write_value(&address.octets()),
                IpAddr::V6(address) => hasher.write_value(&address.octets()),
            }
        }
        Key::new(hasher.finish())
    }
}

/// Adds the value of a key. None at all has a length that no value has, so that those
/// without one share no bucket with those who send an empty one.
fn write_key(hasher: &mut SipHasher, value: Option<&[u8]>) {
    match value {
        Some(value) => hasher.write_value(value),
        None => hasher.write_u64(u64::MAX),
    }
}

/// A hash of a route's name. Names are configuration, not data of clients.
pub(crate) fn route_hash(name: &[u8]) -> u64 {
    siphash24([0, 0], &[name])
}

#[cfg(test)]
mod tests;
