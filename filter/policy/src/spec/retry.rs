//! `spec.retry`: retries.
//!
//! Source: Envoy Gateway's `Retry`.

mod condition;
#[cfg(feature = "schema")]
pub(super) mod lints;
pub(super) mod schema;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::scalar::{Duration, HeaderName};
use crate::sort;
pub use condition::{RetryCondition, RetryOn};

/// `retry`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub num_retries: u32,
    /// Tries before another priority is asked; Envoy's matter.
    pub num_attempts_per_priority: Option<i32>,
    /// For what to try again, and requests of which methods; a `retryOn` without
    /// conditions is one condition for all methods.
    pub conditions: Vec<RetryCondition>,
    /// How long one try may take.
    pub per_try_timeout: Option<Duration>,
    /// The pause before the first retry.
    pub base_interval: Option<Duration>,
    /// The longest pause.
    pub max_interval: Option<Duration>,
    /// Methods whose requests may be retried; none: all, or those that conditions
    /// name. An extension.
    pub methods: Vec<String>,
}

/// A reason to try again, by Envoy's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trigger(&'static str);

/// Every trigger, by Envoy's name.
pub(crate) const TRIGGERS: [&str; 13] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Envoy Gateway's triggers where a policy names none.
const DEFAULT_TRIGGERS: [Trigger; 5] = [
    Trigger("connect-failure"),
    Trigger("refused-stream"),
    Trigger("unavailable"),
    Trigger("cancelled"),
    Trigger::STATUS_CODES,
];

/// The most items of `conditions`.
const MAX_CONDITIONS: usize = 8;

/// Methods that may be sent twice (RFC 9110, 9.2.2).
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

impl Trigger {
    /// One of the policy's status codes.
    pub const STATUS_CODES: Self = Self("retriable-status-codes");

    /// Envoy's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The status of gRPC that it is about; `None`: it is HTTP's.
    #[must_use]
    pub fn grpc_status(self) -> Option<u8> {
        match self.0 {
            "cancelled" => Some(1),
            "deadline-exceeded" => Some(4),
            "resource-exhausted" => Some(8),
            "internal" => Some(13),
            "unavailable" => Some(14),
            _ => None,
        }
    }
}

impl Retry {
    /// Reads `retry`. What is wrong has been noted and counts as left out, so that the
    /// rest of the policy is still checked against it.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::RETRY, problems)?;
        let num_retries = object.optional("numRetries", problems, |at, problems| {
            u32::try_from(at.integer(0..=i64::from(u32::MAX), problems)?).ok()
        });
        let num_attempts = object.optional("numAttemptsPerPriority", problems, |at, problems| {
            i32::try_from(at.integer(0..=i64::from(i32::MAX), problems)?).ok()
        });
        let per_retry = object.or_default("perRetry", problems, read_per_retry);
        let (per_try_timeout, [base_interval, max_interval]) = per_retry.unwrap_or_default();
        let retry_on = object.optional("retryOn", problems, read_retry_on);
        let methods = object.or_default("methods", problems, read_methods);
        refuse_methods_beside_conditions(&object, problems);
        Some(Self {
            num_retries: num_retries.flatten().unwrap_or(2),
            num_attempts_per_priority: num_attempts.flatten(),
            conditions: retry_on.flatten().unwrap_or_else(|| {
                let on = RetryOn::new(None, vec![503]);
                vec![RetryCondition::for_all(on)]
            }),
            per_try_timeout,
            base_interval,
            max_interval,
            methods: methods.unwrap_or_default(),
        })
    }
}

/// The timeout of a try, and the intervals of its `backOff`.
fn read_per_retry(
    at: Cursor<'_>,
    problems: &mut Problems,
) -> Option<(Option<Duration>, [Option<Duration>; 2])> {
    let object = at.object_of(&schema::PER_RETRY, problems)?;
    let timeout = object.optional("timeout", problems, Duration::read);
    let back_off = object.or_default("backOff", problems, read_back_off);
    Some((timeout.flatten(), back_off.unwrap_or_default()))
}

/// The first interval and the longest.
fn read_back_off(at: Cursor<'_>, problems: &mut Problems) -> Option<[Option<Duration>; 2]> {
    let object = at.object_of(&schema::BACK_OFF, problems)?;
    let base = object.optional("baseInterval", problems, Duration::read_positive);
    let max = object.optional("maxInterval", problems, Duration::read_positive);
    let (base, max) = (base.flatten(), max.flatten());
    if let (Some(base), Some(max)) = (base, max)
        && base > max
    {
        at.refuse(
            problems,
            Code::WrongOrder,
            "must not have a baseInterval above its maxInterval",
        );
    }
    Some([base, max])
}

/// Conditions, or triggers and status codes for all methods. Codes of your own take the
/// place of the default one; so does naming triggers.
fn read_retry_on(at: Cursor<'_>, problems: &mut Problems) -> Option<Vec<RetryCondition>> {
    let object = at.object_of(&schema::RETRY_ON, problems)?;
    let triggers = object.optional("triggers", problems, |at, problems| {
        read_triggers(at, 0, problems)
    });
    let status_codes = object.or_default("httpStatusCodes", problems, |at, problems| {
        read_status_codes(at, 0, problems)
    });
    if let Some(at) = object.get("conditions") {
        for name in ["triggers", "httpStatusCodes"] {
            if let Some(at) = object.get(name) {
                let reason = format!(
                    "must be left out beside conditions: move it into one of them, or into a new \
                     one such as {{{name}: [...]}}, which applies to all methods"
                );
                at.refuse(problems, Code::ExcludedField, reason);
            }
        }
        return at.list(1..=MAX_CONDITIONS, problems, RetryCondition::read);
    }
    let on = RetryOn::new(triggers.flatten(), status_codes.unwrap_or_default());
    Some(vec![RetryCondition::for_all(on)])
}

/// Each condition says its methods itself.
fn refuse_methods_beside_conditions(retry: &Object<'_>, problems: &mut Problems) {
    let retry_on = retry.get("retryOn");
    let has_conditions = retry_on.is_some_and(|it| it.node.field("conditions").is_some());
    if let Some(at) = retry.get("methods").filter(|_| has_conditions) {
        let reason = "must be left out beside retryOn.conditions: move it into the conditions for \
            these methods";
        at.refuse(problems, Code::ExcludedField, reason);
    }
}

/// Names of failures.
fn read_triggers(at: Cursor<'_>, least: usize, problems: &mut Problems) -> Option<Vec<Trigger>> {
    let choices = TRIGGERS.map(|name| (name, Trigger(name)));
    let triggers = at.list(least..=usize::MAX, problems, |at, problems| {
        at.choice(&choices, problems)
    });
    triggers.map(sort::set)
}

/// Statuses of responses.
fn read_status_codes(at: Cursor<'_>, least: usize, problems: &mut Problems) -> Option<Vec<u16>> {
    at.list(least..=usize::MAX, problems, |at, problems| {
        u16::try_from(at.integer(100..=599, problems)?).ok()
    })
}

/// Method names; `Idempotent` stands for all that are.
fn read_methods(at: Cursor<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let mut methods = Vec::new();
    at.list(1..=16, problems, |at, problems| {
        let name = at.string(problems)?;
        if name == "Idempotent" {
            methods.extend(IDEMPOTENT.map(str::to_owned));
        } else if HeaderName::new(name).is_none() || name != name.to_ascii_uppercase() {
            at.refuse(
                problems,
                Code::MalformedMethod,
                "must be a method in capitals, such as GET, or Idempotent",
            );
        } else {
            methods.push(name.to_owned());
        }
        Some(())
    })?;
    Some(sort::set(methods))
}
