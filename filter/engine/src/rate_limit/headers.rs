//! The headers that tell a client of the rules that counted its request and of what is left. They are x-ratelimit-* of the slowest rule
//! (draft-polli-ratelimit-headers-03, in the form that Envoy's local rate
//! limit filter gives them), or `RateLimit-Policy` and `RateLimit` of each
//! (draft-ietf-httpapi-ratelimit-headers-10).

use btp_policy::spec::{Limit, LocalRule, RateLimitHeaders};

use super::Rule;
use super::token_bucket::BucketState;
use crate::action::{Action, HeaderEdit, HeaderText};

/// How clients are told of a rule.
#[derive(Debug)]
pub(super) enum HeaderFormat {
    Off,
    /// By the x-ratelimit headers.
    XRateLimit,
    /// By `RateLimit-Policy` and `RateLimit`.
    Draft10(PolicyItem),
}

/// A rule in the lists of draft 10, a policy item as a Structured Field.
#[derive(Debug)]
pub(super) struct PolicyItem {
    /// Its name, a String.
    name: String,
    /// The same with what is always true of it.
    policy: String,
}

/// The lists of draft 10.
#[derive(Debug, Default)]
pub(crate) struct HeaderLists {
    policies: String,
    limits: String,
}

/// The x-ratelimit headers.
#[derive(Debug)]
struct XRateLimit {
    limit: u64,
    remaining: u64,
    /// Seconds until there is a token again, rounded up; 0 if there is one.
    reset: u64,
}

/// The rate limit headers of a response.
#[derive(Debug)]
pub(crate) struct LimitHeaders {
    slowest: Option<XRateLimit>,
    lists: HeaderLists,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl HeaderFormat {
    /// `before` are the rules that come before it.
    pub(super) fn of(rule: &LocalRule, before: &[Rule]) -> Self {
        match (rule.headers, rule.limit) {
            (RateLimitHeaders::DraftVersion03, _) => Self::XRateLimit,
            (RateLimitHeaders::DraftVersion10, Some(limit)) => {
                Self::Draft10(PolicyItem::new(&rule.label(), limit, before))
            }
            (RateLimitHeaders::Off | RateLimitHeaders::DraftVersion10, _) => Self::Off,
        }
    }

    fn is_called(&self, name: &str) -> bool {
        matches!(self, Self::Draft10(item) if item.name == name)
    }
}

impl PolicyItem {
    /// The name is a DNS label or made by us: nothing in it needs escaping. A
    /// rule that was inherited may have the name of another one.
    fn new(name: &str, limit: Limit, before: &[Rule]) -> Self {
        let mut quoted = format!("\"{name}\"");
        let mut twin = 1_u64;
        while before.iter().any(|it| it.headers.is_called(&quoted)) {
            twin += 1;
            quoted = format!("\"{name}-{twin}\"");
        }
        let (requests, seconds) = (limit.requests, limit.unit.seconds());
        let mut policy = format!("{quoted};q={requests};w={seconds}");
        if limit.burst != requests {
            policy.push_str(&format!(";btp-burst={}", limit.burst));
        }
        Self {
            name: quoted,
            policy,
        }
    }
}

impl HeaderLists {
    pub(super) fn add_policy(&mut self, item: &PolicyItem) {
        append(&mut self.policies, &item.policy);
    }

    /// A full bucket will not get any more: there is no `t` then.
    pub(super) fn add_limit(&mut self, item: &PolicyItem, state: BucketState) {
        let (name, remaining) = (&item.name, state.tokens);
        let limit = match state.next_ns().map(seconds) {
            Some(next) => format!("{name};r={remaining};t={next}"),
            None => format!("{name};r={remaining}"),
        };
        append(&mut self.limits, &limit);
    }
}

impl XRateLimit {
    fn of(state: BucketState) -> Self {
        let next = state.next_ns().filter(|_| state.tokens == 0);
        Self {
            limit: state.bucket.burst(),
            remaining: state.tokens,
            reset: next.map_or(0, seconds),
        }
    }
}

impl LimitHeaders {
    /// `None` if there is nothing to tell. Without limits the policies are
    /// not told, either.
    pub(super) fn new(slowest: Option<BucketState>, lists: HeaderLists) -> Option<Self> {
        (slowest.is_some() || !lists.limits.is_empty()).then(|| Self {
            slowest: slowest.map(XRateLimit::of),
            lists,
        })
    }

    /// The headers, added to a response.
    pub(crate) fn add_to_response(self, out: &mut Vec<Action>) {
        self.headers(&mut |name, value| {
            out.push(Action::EditResponseHeader(HeaderEdit::Add(
                name.into(),
                value,
            )));
        });
    }

    pub(super) fn headers(self, add: &mut dyn FnMut(&'static str, HeaderText)) {
        if let Some(slowest) = self.slowest {
            for (name, value) in [
                ("x-ratelimit-limit", slowest.limit),
                ("x-ratelimit-remaining", slowest.remaining),
                ("x-ratelimit-reset", slowest.reset),
            ] {
                add(name, value.into());
            }
        }
        if !self.lists.limits.is_empty() {
            add("ratelimit-policy", self.lists.policies.into());
            add("ratelimit", self.lists.limits.into());
        }
    }
}

fn append(list: &mut String, item: &str) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(item);
}

/// Rounded up.
pub(super) fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(NANOS_PER_SECOND)
}
