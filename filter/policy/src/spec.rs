//! `spec`: what a policy wants, one file per capability.

mod canned_reply;
mod capability;
mod fault_injection;
mod rate_limit;
mod request_buffer;
mod response_override;
pub(crate) mod retry;
mod selector;

pub use canned_reply::CannedReply;
pub use capability::{BY_HAND, Capability, FIELDS, Owner, by_hand, owner_of};
pub use fault_injection::{
    Abort, AbortAction, AbortStatus, Delay, DelayLength, Distribution, FaultInjection,
    HeaderControl, Sampling, SamplingKey, Schedule, Spread,
};
pub use rate_limit::{
    Limit, LocalRateLimit, LocalRule, Mode, Queue, RateLimit, RateLimitHeaders, Unit,
};
pub use request_buffer::{BufferMode, BufferRule, MinDataRate, RequestBuffer};
pub use response_override::{
    Escape, HeaderChanges, HeaderMatch, Instead, KeepHeaders, NewBody, OverrideBody, OverrideMatch,
    OverrideResponse, OverrideRule, Redirect, RedirectMode, Source, StringMatch, Variant,
};
pub use retry::{BudgetMode, OnExhausted, Retry, RetryConstraint, Scope, Trigger};
pub use selector::{
    MetadataCondition, MetadataValue, MethodCondition, Named, PathCondition, PathPattern, Selector,
    SourceCondition, ValueCondition,
};

use crate::code::Code;
use crate::problem::Problems;
use crate::read::At;
use crate::regex::Regexes;
use crate::scalar::ObjectName;

/// The capabilities of one policy that the filter enforces. What Envoy
/// enforces itself is not in here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// Delays and aborts.
    pub fault_injection: Option<FaultInjection>,
    /// Limits that this Envoy keeps itself.
    pub rate_limit: Option<RateLimit>,
    /// How large a body may be, and whether it is gathered first.
    pub request_buffer: Option<RequestBuffer>,
    /// Replacements for responses; the first that matches is taken.
    pub response_override: Vec<OverrideRule>,
    /// Trying again.
    pub retry: Option<Retry>,
    /// A bound on trying again.
    pub retry_constraint: Option<RetryConstraint>,
}

impl Spec {
    /// Reads the capabilities of a `spec`. `owner` is the policy it stands
    /// in. Fields that Envoy enforces are known by name and not looked into.
    pub fn read(
        at: At<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        let object = at.object(&known, problems)?;
        let conditions = regexes.conditions();
        let spec = Self {
            fault_injection: object
                .get("faultInjection")
                .and_then(|at| FaultInjection::read(at, regexes, problems)),
            rate_limit: object
                .get("rateLimit")
                .and_then(|at| RateLimit::read(at, owner, regexes, problems)),
            request_buffer: object
                .get("requestBuffer")
                .and_then(|at| RequestBuffer::read(at, regexes, problems)),
            response_override: object
                .get("responseOverride")
                .and_then(|at| OverrideRule::read_all(at, owner, regexes, problems))
                .unwrap_or_default(),
            retry: object.get("retry").and_then(|at| Retry::read(at, problems)),
            retry_constraint: object
                .get("retryConstraint")
                .and_then(|at| RetryConstraint::read(at, problems)),
        };
        let conditions = regexes.conditions() - conditions;
        if conditions > Regexes::MOST_CONDITIONS {
            let most = Regexes::MOST_CONDITIONS;
            at.refuse(
                problems,
                Code::TooManyRegexes,
                format!(
                    "has {conditions} conditions with regular expressions, and {most} is the \
                     most: each looks at every byte of its value; join their alternatives, or \
                     split the policy"
                ),
            );
        }
        Some(spec)
    }
}

#[cfg(test)]
mod tests;
