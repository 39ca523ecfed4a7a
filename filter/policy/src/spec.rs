//! `spec`: what a policy sets. A field is a folder: its reader or its types, its
//! table (`schema`), what is checked beyond it (`checks`) and what is advised
//! (`lints`).

mod admission_control;
mod bandwidth_limit;
pub(crate) mod canned_reply;
#[cfg(feature = "schema")]
mod checks;
mod circuit_breaker;
mod compression;
mod connection;
#[cfg(feature = "schema")]
mod crd;
mod dns;
mod doubles;
mod fault_injection;
mod health_check;
mod http2;
mod http_upgrade;
#[cfg(feature = "schema")]
mod lints;
mod load_balancer;
mod names;
#[cfg(feature = "schema")]
pub mod native;
#[cfg(feature = "schema")]
mod native_types;
mod numbers;
mod proxy_protocol;
mod rate_limit;
mod request_buffer;
mod response_override;
mod retry;
pub(crate) mod retry_constraint;
mod routing;
mod rule_identity;
mod rule_name;
mod schema;
pub(crate) mod selector;
pub(crate) mod session_persistence;
pub mod targets;
mod tcp_keepalive;
mod telemetry;
mod timeout;

pub use canned_reply::CannedReply;
#[cfg(feature = "schema")]
pub use checks::check_native;
#[cfg(feature = "schema")]
pub use crd::check_crd;
pub use fault_injection::{
    Abort, AbortAction, AbortStatus, Delay, DelayLength, Distribution, FaultInjection,
    HeaderControl, Sampling, SamplingKey, Schedule, Spread,
};
#[cfg(feature = "schema")]
pub use lints::{lint, lint_by_hand};
pub use rate_limit::{
    Class, Concurrency, Limit, LocalRateLimit, LocalRule, MOST_CLASSES, Mode, Queue, RateLimit,
    RateLimitHeaders, Unit,
};
pub use request_buffer::{BufferMode, BufferRule, MinDataRate, RequestBuffer};
pub use response_override::{
    Escape, HeaderChanges, HeaderMatch, Instead, KeepHeaders, NewBody, OverrideBody, OverrideMatch,
    OverrideResponse, OverrideRule, Redirect, RedirectMode, Source, StringMatch, Variant,
};
pub use retry::{Retry, RetryCondition, RetryOn, Trigger};
pub use retry_constraint::{BudgetMode, OnExhausted, RetryConstraint, Scope};
#[cfg(feature = "schema")]
pub use schema::owner_at;
pub use schema::{SPEC, owner_of};
pub use selector::{
    MetadataCondition, MetadataMatch, MetadataValue, MethodCondition, Named, OnMissing,
    PathCondition, PathPattern, Selector, SourceCondition, ValueCondition, WHOLE_ADDRESS,
};

pub use crate::owner::{Capability, Owner};

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
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
    /// How large a body may be, and whether it is buffered first.
    pub request_buffer: Option<RequestBuffer>,
    /// Replacements for responses; the first that matches is taken.
    pub response_override: Vec<OverrideRule>,
    /// Trying again.
    pub retry: Option<Retry>,
    /// A bound on trying again.
    pub retry_constraint: Option<RetryConstraint>,
}

impl Spec {
    /// Reads the capabilities of a `spec`; `owner` is its policy. Fields that Envoy
    /// enforces are known by name and not read.
    pub fn read(
        at: Cursor<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&SPEC, problems)?;
        let conditions = regexes.conditions();
        // What is wrong has been noted and counts as left out: the rest of the
        // configuration is checked all the same.
        let fault_injection = object.optional("faultInjection", problems, |at, problems| {
            FaultInjection::read(at, regexes, problems)
        });
        let rate_limit = object.optional("rateLimit", problems, |at, problems| {
            RateLimit::read(at, owner, regexes, problems)
        });
        let request_buffer = object.optional("requestBuffer", problems, |at, problems| {
            RequestBuffer::read(at, regexes, problems)
        });
        let response_override = object.or_default("responseOverride", problems, |at, problems| {
            OverrideRule::read_all(at, owner, regexes, problems)
        });
        let retry = object.optional("retry", problems, Retry::read);
        let retry_constraint = object.optional("retryConstraint", problems, RetryConstraint::read);
        let spec = Self {
            fault_injection: fault_injection.flatten(),
            rate_limit: rate_limit.flatten(),
            request_buffer: request_buffer.flatten(),
            response_override: response_override.unwrap_or_default(),
            retry: retry.flatten(),
            retry_constraint: retry_constraint.flatten(),
        };
        let conditions = regexes.conditions() - conditions;
        if conditions > Regexes::MOST_CONDITIONS {
            let most = Regexes::MOST_CONDITIONS;
            at.refuse(
                problems,
                Code::TooManyRegexes,
                format!(
                    "has {conditions} conditions with regular expressions; at most {most} are \
                     allowed, as each reads every byte of its value: join their alternatives, or \
                     split the policy"
                ),
            );
        }
        Some(spec)
    }
}

#[cfg(test)]
mod tests;
