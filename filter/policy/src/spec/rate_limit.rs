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

mod identity;
mod limit;
mod rule;

#[cfg(feature = "schema")]
pub use global::{Cost, GlobalLimit, GlobalRule, MetadataKey};
pub use limit::{Limit, Unit};
pub use rule::{LocalRule, Queue, RateLimitHeaders};

use crate::problem::Problems;
use crate::read::At;
use crate::regex::Regexes;
use crate::scalar::ObjectName;
use crate::spec::Selector;
use crate::spec::canned_reply::CannedReply;
use crate::spec::selector::read_flag;

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
    /// Reads `rateLimit`. `owner` is the policy it stands in.
    pub fn read(
        at: At<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&schema::RATE_LIMIT, problems)?;
        let local_counts = match object.get("type") {
            Some(at) => at.choice(&[("Local", true), ("Global", false)], problems)?,
            None => true,
        };
        let local = object
            .get("local")
            .and_then(|at| LocalRateLimit::read(at, owner, regexes, problems));
        Some(Self {
            local: local.filter(|_| local_counts),
        })
    }
}

impl LocalRateLimit {
    fn read(
        at: At<'_>,
        owner: &ObjectName,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&schema::LOCAL, problems)?;
        let modes = [
            ("AllMatching", Mode::AllMatching),
            ("FirstMatch", Mode::FirstMatch),
        ];
        let rules = match object.get("rules") {
            Some(at) => rule::read_all(at, owner, regexes, problems),
            None => Some(Vec::new()),
        };
        let exempt = match object.get("exempt") {
            Some(at) => Selector::read_any(at, regexes, problems),
            None => Some(Vec::new()),
        };
        let mode = match object.get("mode") {
            Some(at) => at.choice(&modes, problems),
            None => Some(Mode::default()),
        };
        let reject = match object.get("reject") {
            Some(at) => CannedReply::read_reject(at, problems),
            None => Some(CannedReply::default()),
        };
        Some(Self {
            retry_after: match object.get("retryAfter") {
                Some(at) => Some(at.boolean(problems)?),
                None => None,
            },
            disabled: read_flag(object.get("disabled"), problems)?,
            rules: rules?,
            exempt: exempt?,
            mode: mode?,
            reject: reject?,
        })
    }
}

#[cfg(test)]
mod tests;
