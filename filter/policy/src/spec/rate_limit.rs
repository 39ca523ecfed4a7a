//! `spec.rateLimit.local`: how many requests may pass in a time.
//!
//! Source: Envoy Gateway's `LocalRateLimit`. Its check that every unit is a
//! multiple of the default rule's is not made: nothing here needs it.
//! `global` is counted by a rate limit service, which Envoy asks. Extensions of
//! ours are marked so.

#[cfg(feature = "schema")]
mod global;
#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;

mod concurrency;
mod limit;
mod rule;

pub use concurrency::{Class, Concurrency, MOST_CLASSES};
#[cfg(feature = "schema")]
pub use global::{Cost, GlobalLimit, GlobalRule, MetadataKey};
pub use limit::{Limit, Unit};
pub use rule::{LocalRule, Queue, RateLimitHeaders};

use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regexes;
use crate::scalar::ObjectName;
use crate::spec::Selector;
use crate::spec::canned_reply::CannedReply;

/// `rateLimit`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateLimit {
    /// Limits that this Envoy keeps itself.
    pub local: Option<LocalRateLimit>,
}

/// `local`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalRateLimit {
    /// Every rule whose selector holds counts; the one without a selector
    /// counts if no other does.
    pub rules: Vec<LocalRule>,
    /// Requests that no rule counts, any of these. An extension.
    pub exempt: Vec<Selector>,
    /// Which of the rules that match count. An extension.
    pub mode: Mode,
    /// What a refused client gets, unless the rule says otherwise. An
    /// extension.
    pub reject: CannedReply,
    /// Whether a refused client is told when to try again; `None`: yes. An
    /// extension.
    pub retry_after: Option<bool>,
    /// No rule counts: a child opts out of what it inherits. An extension.
    pub disabled: bool,
}

/// Which of the rules that match count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All of them.
    #[default]
    AllMatching,
    /// The first in the list.
    FirstMatch,
}

impl RateLimit {
    /// Reads `rateLimit`; `owner` is its policy.
    pub fn read(
        at: Cursor<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&schema::RATE_LIMIT, problems)?;
        let local_counts = object.or("type", true, problems, |at, problems| {
            at.choice(&[("Local", true), ("Global", false)], problems)
        })?;
        let local = object.optional("local", problems, |at, problems| {
            LocalRateLimit::read(at, owner, regexes, problems)
        });
        Some(Self {
            local: local.flatten().filter(|_| local_counts),
        })
    }
}

impl LocalRateLimit {
    fn read(
        at: Cursor<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&schema::LOCAL, problems)?;
        let modes = [
            ("AllMatching", Mode::AllMatching),
            ("FirstMatch", Mode::FirstMatch),
        ];
        let rules = object.or_default("rules", problems, |at, problems| {
            rule::read_all(at, owner, regexes, problems)
        });
        let exempt = object.or_default("exempt", problems, |at, problems| {
            Selector::read_any(at, regexes, problems)
        });
        let mode = object.or_default("mode", problems, |at, problems| at.choice(&modes, problems));
        let reject = object.or_default("reject", problems, CannedReply::read_reject);
        Some(Self {
            retry_after: object.optional("retryAfter", problems, Cursor::boolean)?,
            disabled: object.or_default("disabled", problems, Cursor::boolean)?,
            rules: rules?,
            exempt: exempt?,
            mode: mode?,
            reject: reject?,
        })
    }
}

#[cfg(test)]
mod tests;
