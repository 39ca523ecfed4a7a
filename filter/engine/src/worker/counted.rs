//! The rules that have counted a client's request before Envoy's router followed an
//! internal redirect.
//!
//! The redirect ends an exchange without a response and begins another one for the same
//! request, which passes all filters again. In between the worker keeps this record.

use crate::rate_limit::{Key, LimitHeaders, MatchedRule};

/// What a request has been counted by before it was redirected.
#[derive(Debug)]
pub(crate) struct Counted {
    /// When the client's request began: nanoseconds since 1970.
    pub(crate) started_ns: u64,
    /// The buckets that it has paid.
    pub(crate) buckets: Vec<Key>,
    /// The policies whose faults were sampled for it.
    pub(crate) faults: Vec<usize>,
    /// What its response says of rate limits.
    pub(crate) headers: Option<Box<LimitHeaders>>,
}

impl Counted {
    /// Marks the rules whose buckets it has paid.
    pub(crate) fn mark(&self, rules: &mut [MatchedRule]) {
        for rule in rules {
            rule.is_counted = self.buckets.contains(&rule.key);
        }
    }

    /// Whether the faults of this policy were sampled for it.
    pub(crate) fn has_sampled(&self, policy: Option<usize>) -> bool {
        policy.is_some_and(|policy| self.faults.contains(&policy))
    }
}
