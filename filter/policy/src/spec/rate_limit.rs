//! `spec.rateLimit.local`: how many requests may pass in a time.
//!
//! Source: Envoy Gateway's `LocalRateLimit`. Its check that every unit is a
//! multiple of the default rule's is not made: nothing here needs it.
//! `global` needs a rate limit service and is Envoy's own matter.

use crate::problem::Problems;
use crate::read::At;
use crate::scalar::{Duration, ObjectName};
use crate::spec::Selector;
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
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalRule {
    /// The policy that the rule was written in.
    pub policy: ObjectName,
    /// Its place in that policy's list.
    pub index: usize,
    /// Which requests it counts.
    pub selector: Selector,
    /// How many of them may pass.
    pub limit: Limit,
    /// How many tokens a request costs.
    pub cost: u32,
    /// One bucket for all routes of the policy.
    pub shared: bool,
    /// Count, and refuse nothing.
    pub shadow_mode: bool,
    /// Whether the x-ratelimit headers are sent.
    pub headers: RateLimitHeaders,
}

/// So many requests in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The requests; 0 lets none pass.
    pub requests: u32,
    /// The time.
    pub unit: Unit,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// `xRateLimitHeaders`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateLimitHeaders {
    /// None.
    Off,
    /// The third draft of the RateLimit header fields.
    #[default]
    DraftVersion03,
}

impl Unit {
    /// Its length; a month has 30 days, a year 365.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        const DAY: u64 = 86_400;
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }

    /// Its length as a duration in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.seconds() * Duration::from_millis(1000).as_nanos()
    }
}

impl RateLimit {
    /// Reads `rateLimit`. `owner` is the policy it stands in.
    pub fn read(at: At<'_>, owner: &ObjectName, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["type", "local", "global"], problems)?;
        let local_counts = match object.get("type") {
            Some(at) => at.choice(&[("Local", true), ("Global", false)], problems)?,
            None => true,
        };
        let local = object
            .get("local")
            .and_then(|at| LocalRateLimit::read(at, owner, problems));
        Some(Self {
            local: local.filter(|_| local_counts),
        })
    }
}

impl LocalRateLimit {
    fn read(at: At<'_>, owner: &ObjectName, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["rules"], problems)?;
        let Some(at) = object.get("rules") else {
            return Some(Self::default());
        };
        let mut index = 0;
        let mut default_rule = None;
        let rules = at.list(0..=16, problems, |at, problems| {
            let rule = LocalRule::read(at, owner, index, problems);
            if rule.as_ref().is_some_and(|rule| rule.selector.is_empty()) {
                match default_rule {
                    None => default_rule = Some(index),
                    Some(first) => at.refuse(
                        problems,
                        format!(
                            "must have clientSelectors: rules[{first}] is the default \
                             rule already"
                        ),
                    ),
                }
            }
            index += 1;
            rule
        });
        Some(Self { rules: rules? })
    }
}

impl LocalRule {
    fn read(at: At<'_>, owner: &ObjectName, index: usize, problems: &mut Problems) -> Option<Self> {
        let known = [
            "clientSelectors",
            "limit",
            "cost",
            "shared",
            "shadowMode",
            "xRateLimitHeaders",
        ];
        let object = at.object(&known, problems)?;
        let selector = match object.get("clientSelectors") {
            Some(at) => Selector::read_all(at, problems),
            None => Some(Selector::default()),
        };
        let limit = object
            .required("limit", problems)
            .and_then(|at| Limit::read(at, problems));
        let cost = match object.get("cost") {
            Some(at) => read_cost(at, problems),
            None => Some(1),
        };
        let headers = match object.get("xRateLimitHeaders") {
            Some(at) => at.choice(
                &[
                    ("Off", RateLimitHeaders::Off),
                    ("DraftVersion03", RateLimitHeaders::DraftVersion03),
                ],
                problems,
            ),
            None => Some(RateLimitHeaders::default()),
        };
        Some(Self {
            policy: owner.clone(),
            index,
            shared: read_flag(object.get("shared"), problems)?,
            shadow_mode: read_flag(object.get("shadowMode"), problems)?,
            selector: selector?,
            limit: limit?,
            cost: cost?,
            headers: headers?,
        })
    }
}

impl Limit {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let units = [
            ("Second", Unit::Second),
            ("Minute", Unit::Minute),
            ("Hour", Unit::Hour),
            ("Day", Unit::Day),
            ("Week", Unit::Week),
            ("Month", Unit::Month),
            ("Year", Unit::Year),
        ];
        let object = at.object(&["requests", "unit", "fromMetadata"], problems)?;
        if let Some(at) = object.get("fromMetadata") {
            at.refuse(problems, "must be left out: it is global limits' only");
        }
        let requests = object
            .required("requests", problems)
            .and_then(|at| at.integer(0..=i64::from(u32::MAX), problems))
            .and_then(|requests| u32::try_from(requests).ok());
        let unit = object
            .required("unit", problems)
            .and_then(|at| at.choice(&units, problems));
        Some(Self {
            requests: requests?,
            unit: unit?,
        })
    }
}

fn read_cost(at: At<'_>, problems: &mut Problems) -> Option<u32> {
    let object = at.object(&["request", "response"], problems)?;
    if let Some(at) = object.get("response") {
        at.refuse(problems, "must be left out: it is global limits' only");
    }
    let Some(at) = object.get("request") else {
        return Some(1);
    };
    let object = at.object(&["from", "number", "metadata"], problems)?;
    if let Some(at) = object.required("from", problems) {
        let reason = "must be Number: only global limits take their cost from metadata";
        if at.string(problems)? != "Number" {
            at.refuse(problems, reason);
            return None;
        }
    }
    if let Some(at) = object.get("metadata") {
        at.refuse(problems, "must not stand beside number");
    }
    match object.get("number") {
        Some(at) => at
            .integer(0..=i64::from(u32::MAX), problems)
            .and_then(|number| u32::try_from(number).ok()),
        None => Some(1),
    }
}
