//! `spec.retry`: trying again.
//!
//! Source: Envoy Gateway's `Retry`.

#[cfg(feature = "schema")]
pub(super) mod lints;
pub(super) mod schema;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::At;
use crate::scalar::{Duration, HeaderName};
use crate::sort;

/// `retry`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub num_retries: u32,
    /// Tries before another priority is asked; Envoy's matter.
    pub num_attempts_per_priority: Option<i32>,
    /// When to try again; `None`: Envoy Gateway's default set.
    pub triggers: Option<Vec<Trigger>>,
    /// Statuses that are tried again.
    pub status_codes: Vec<u16>,
    /// How long one try may take.
    pub per_try_timeout: Option<Duration>,
    /// The pause before the first retry.
    pub base_interval: Option<Duration>,
    /// The longest pause.
    pub max_interval: Option<Duration>,
    /// Methods whose requests may be tried again; none: all. An extension.
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
    /// The policy's triggers or the default ones. Status codes bring the trigger
    /// along that makes them work.
    #[must_use]
    pub fn triggers_in_force(&self) -> Vec<Trigger> {
        let named = self.triggers.as_deref();
        let mut triggers = named.unwrap_or(&DEFAULT_TRIGGERS).to_vec();
        if !self.status_codes.is_empty() && !triggers.contains(&Trigger::STATUS_CODES) {
            triggers.push(Trigger::STATUS_CODES);
        }
        triggers
    }

    /// Reads `retry`.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::RETRY, problems)?;
        let mut retry = Self {
            num_retries: 2,
            num_attempts_per_priority: None,
            triggers: None,
            status_codes: vec![503],
            per_try_timeout: None,
            base_interval: None,
            max_interval: None,
            methods: Vec::new(),
        };
        if let Some(at) = object.get("numRetries") {
            let number = at.integer(0..=i64::from(u32::MAX), problems);
            replace(
                &mut retry.num_retries,
                number.and_then(|it| u32::try_from(it).ok()),
            );
        }
        if let Some(at) = object.get("numAttemptsPerPriority") {
            let number = at.integer(0..=i64::from(i32::MAX), problems);
            retry.num_attempts_per_priority = number.and_then(|it| i32::try_from(it).ok());
        }
        if let Some(at) = object.get("perRetry") {
            retry.read_per_retry(at, problems);
        }
        if let Some(at) = object.get("retryOn") {
            retry.read_retry_on(at, problems);
        }
        if let Some(at) = object.get("methods") {
            replace(&mut retry.methods, read_methods(at, problems));
        }
        Some(retry)
    }

    fn read_per_retry(&mut self, at: At<'_>, problems: &mut Problems) -> Option<()> {
        let object = at.object_of(&schema::PER_RETRY, problems)?;
        self.per_try_timeout = object
            .get("timeout")
            .and_then(|at| Duration::read(at, problems));
        let at = object.get("backOff")?;
        let object = at.object_of(&schema::BACK_OFF, problems)?;
        self.base_interval = object
            .get("baseInterval")
            .and_then(|at| Duration::read_positive(at, problems));
        self.max_interval = object
            .get("maxInterval")
            .and_then(|at| Duration::read_positive(at, problems));
        if let (Some(base), Some(max)) = (self.base_interval, self.max_interval)
            && base > max
        {
            at.refuse(
                problems,
                Code::WrongOrder,
                "must not have a baseInterval above its maxInterval",
            );
        }
        Some(())
    }

    fn read_retry_on(&mut self, at: At<'_>, problems: &mut Problems) -> Option<()> {
        let object = at.object_of(&schema::RETRY_ON, problems)?;
        // Codes of one's own take the place of the default one; so does
        // naming triggers.
        self.status_codes.clear();
        if let Some(at) = object.get("triggers") {
            let choices = TRIGGERS.map(|name| (name, Trigger(name)));
            let triggers = at.list(0..=usize::MAX, problems, |at, problems| {
                at.choice(&choices, problems)
            });
            self.triggers = triggers.map(sort::set);
        }
        if let Some(at) = object.get("httpStatusCodes") {
            self.status_codes = at.list(0..=usize::MAX, problems, |at, problems| {
                u16::try_from(at.integer(100..=599, problems)?).ok()
            })?;
        }
        Some(())
    }
}

/// Puts what was read in the place of a default. What could not be read has
/// been noted; the reading goes on, so that all problems are found.
fn replace<T>(default: &mut T, read: Option<T>) {
    if let Some(read) = read {
        *default = read;
    }
}

/// Method names; `Idempotent` stands for all that are.
fn read_methods(at: At<'_>, problems: &mut Problems) -> Option<Vec<String>> {
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
