//! One rule of `rateLimit.local`.

use super::concurrency::Concurrency;
use super::limit::Limit;
use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regexes;
use crate::scalar::{Duration, ObjectName};
use crate::spec::Selector;
use crate::spec::canned_reply::CannedReply;
use crate::spec::rule_identity;
use crate::spec::rule_name::read_name;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalRule {
    /// The policy that the rule was written in.
    pub policy: ObjectName,
    /// Its place in that policy's list.
    pub index: usize,
    /// Its name. An extension.
    pub name: Option<String>,
    /// What it is known by among the rules of its policy, whatever becomes
    /// of its limit and its place.
    pub identity: String,
    /// Which requests it counts.
    pub selector: Selector,
    /// How many of them may pass in a time; `None`: any number.
    pub limit: Option<Limit>,
    /// How many of them may be in flight at once; `None`: any number. An
    /// extension.
    pub concurrency: Option<Concurrency>,
    /// How many tokens a request costs.
    pub cost: u32,
    /// One bucket for all routes of the policy.
    pub shared: bool,
    /// Count, and refuse nothing.
    pub shadow_mode: bool,
    /// What clients are told.
    pub headers: RateLimitHeaders,
    /// What a client gets that this rule refuses. An extension.
    pub reject: Option<CannedReply>,
    /// Requests wait for their tokens. An extension.
    pub queue: Option<Queue>,
}

/// `queue`: how long requests wait instead of being refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The longest that one waits.
    pub max_delay: Duration,
    /// The most tokens that are waited for at a time, in each bucket.
    pub max_queued: Option<u32>,
}

/// `xRateLimitHeaders`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateLimitHeaders {
    /// None.
    Off,
    /// The x-ratelimit headers: draft-polli-ratelimit-headers-03.
    #[default]
    DraftVersion03,
    /// RateLimit and RateLimit-Policy: draft-ietf-httpapi-ratelimit-headers-10.
    /// An extension.
    DraftVersion10,
}

/// The most rules of a policy.
const MOST_RULES: usize = 16;

/// The longest `maxDelay`.
const LONGEST_WAIT: Duration = Duration::from_millis(3_600_000);

/// Reads `rules`. A rule that says nothing of headers does as the default
/// rule does.
pub(super) fn read_all(
    at: Cursor<'_>,
    owner: &ObjectName,
    regexes: &Regexes,
    problems: &mut Problems,
) -> Option<Vec<LocalRule>> {
    let mut index = 0;
    let mut default_rule = None;
    let mut default_headers = RateLimitHeaders::default();
    let mut seen: Vec<(String, usize)> = Vec::new();
    let rules = at.list(0..=MOST_RULES, problems, |at, problems| {
        let place = index;
        index += 1;
        let read = |problems: &mut Problems| LocalRule::read(at, owner, place, regexes, problems);
        let (rule, found) = problems.capture(read);
        // Of a rule in which something is wrong no more is said.
        let is_sound = found.is_empty();
        found.into_iter().for_each(|problem| problems.push(problem));
        let (mut rule, headers) = rule?;
        // The list is refused: to compare thousands with each other would take too long.
        if place >= MOST_RULES {
            return Some((rule, headers));
        }
        if is_sound && rule.selector.is_empty() {
            match default_rule {
                None => {
                    default_rule = Some(place);
                    default_headers = headers.unwrap_or_default();
                }
                Some(first) => at.refuse(
                    problems,
                    Code::SecondDefaultRule,
                    format!(
                        "must have clientSelectors: rules[{first}] is the default \
                         rule already"
                    ),
                ),
            }
        }
        if rule.name.is_some() {
            let same = |(name, _): &&(String, usize)| *name == rule.identity;
            if let Some((_, first)) = seen.iter().find(same) {
                let reason = format!("must have its own name: rules[{first}] has the same name");
                at.refuse(problems, Code::NameTaken, reason);
            }
        }
        seen.push((rule.identity.clone(), place));
        let twins = seen.iter().filter(|(other, _)| *other == rule.identity);
        let nth = twins.count();
        rule_identity::tell_apart(&mut rule.identity, nth);
        Some((rule, headers))
    })?;
    let with_headers = |(rule, headers): (LocalRule, Option<RateLimitHeaders>)| LocalRule {
        headers: headers.unwrap_or(default_headers),
        ..rule
    };
    Some(rules.into_iter().map(with_headers).collect())
}

impl LocalRule {
    /// What metrics, headers and logs call it: by its name, or by its selectors.
    #[must_use]
    pub fn label(&self) -> String {
        rule_identity::label(&self.identity)
    }

    fn read(
        at: Cursor<'_>,
        owner: &ObjectName,
        index: usize,
        regexes: &Regexes,
        problems: &mut Problems,
    ) -> Option<(Self, Option<RateLimitHeaders>)> {
        let object = at.object_of(&super::schema::LOCAL_RULE, problems)?;
        let name = object.optional("name", problems, read_name);
        let name = name.flatten().map(str::to_owned);
        let identity = match &name {
            Some(name) => name.clone(),
            None => rule_identity::of(object.get("clientSelectors").map(|at| at.node)),
        };
        let selector = object.or_default("clientSelectors", problems, |at, problems| {
            Selector::read_all(at, regexes, problems)
        });
        let limit = object.optional("limit", problems, Limit::read);
        let concurrency = object.optional("concurrency", problems, |at, problems| {
            Concurrency::read(at, regexes, problems)
        });
        if !object.has("limit") {
            if !object.has("concurrency") {
                at.refuse(
                    problems,
                    Code::NoneOfFields,
                    "must have limit or concurrency",
                );
            }
            for field in ["cost", "queue"] {
                if let Some(at) = object.get(field) {
                    at.refuse(
                        problems,
                        Code::ExcludedField,
                        "must be left out: there is no limit",
                    );
                }
            }
        }
        let cost = object.or("cost", 1, problems, read_cost);
        let choices = [
            ("Off", RateLimitHeaders::Off),
            ("DraftVersion03", RateLimitHeaders::DraftVersion03),
            ("DraftVersion10", RateLimitHeaders::DraftVersion10),
        ];
        let headers = object.optional("xRateLimitHeaders", problems, |at, problems| {
            at.choice(&choices, problems)
        });
        let reject = object.optional("reject", problems, CannedReply::read_reject);
        let shadow_mode = object.or_default("shadowMode", problems, Cursor::boolean);
        let shared = object.or_default("shared", problems, Cursor::boolean);
        let queue = object.optional("queue", problems, Queue::read);
        // All has been read, and all that is wrong in itself has been noted.
        let (limit, concurrency) = (limit?, concurrency?);
        let (headers, reject, queue) = (headers?, reject?, queue?);
        let (cost, shadow_mode) = (cost?, shadow_mode?);
        if let Some(at) = object.get("queue")
            && (shadow_mode || limit.is_some_and(|limit| limit.requests == 0))
        {
            at.refuse(
                problems,
                Code::ExcludedField,
                "must be left out: no request waits with shadowMode, or with requests: 0",
            );
        }
        if let Some(limit) = limit
            && limit.requests > 0
            && cost > limit.burst
            && let Some(at) = object.get("cost")
        {
            let reason = format!(
                "must not be more than {}, the most that the limit lets pass at once: no request \
                 could ever pass (to refuse all, write requests: 0)",
                limit.burst
            );
            at.refuse(problems, Code::CostAboveLimit, reason);
        }
        let rule = Self {
            policy: owner.clone(),
            index,
            name,
            identity,
            shared: shared?,
            shadow_mode,
            selector: selector?,
            limit,
            concurrency,
            cost,
            headers: headers.unwrap_or_default(),
            reject,
            queue,
        };
        Some((rule, headers))
    }
}

impl Queue {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::QUEUE, problems)?;
        let max_queued = object.optional("maxQueued", problems, read_u32);
        let at = object.required("maxDelay", problems)?;
        let max_delay = Duration::read_positive(at, problems)?;
        if max_delay > LONGEST_WAIT {
            at.refuse(
                problems,
                Code::DurationOutOfBounds,
                "must not be longer than 1h",
            );
        }
        Some(Self {
            max_delay,
            max_queued: max_queued?,
        })
    }
}

fn read_u32(at: Cursor<'_>, problems: &mut Problems) -> Option<u32> {
    u32::try_from(at.integer(1..=i64::from(u32::MAX), problems)?).ok()
}

fn read_cost(at: Cursor<'_>, problems: &mut Problems) -> Option<u32> {
    let object = at.object_of(&super::schema::LOCAL_COST, problems)?;
    if let Some(at) = object.get("response") {
        at.refuse(
            problems,
            Code::GlobalOnly,
            "must be left out: only global limits have it",
        );
    }
    object.or("request", 1, problems, read_amount)
}

fn read_amount(at: Cursor<'_>, problems: &mut Problems) -> Option<u32> {
    let object = at.object_of(&super::schema::LOCAL_AMOUNT, problems)?;
    if let Some(at) = object.required("from", problems) {
        let reason = "must be Number: only global limits read a cost from metadata";
        if at.string(problems)? != "Number" {
            at.refuse(problems, Code::GlobalOnly, reason);
            return None;
        }
    }
    if let Some(at) = object.get("metadata") {
        at.refuse(
            problems,
            Code::ExcludedField,
            "must not be set beside number",
        );
    }
    object.or("number", 1, problems, |at, problems| {
        u32::try_from(at.integer(0..=i64::from(u32::MAX), problems)?).ok()
    })
}
