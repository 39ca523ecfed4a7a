//! What clients are told: the reply to a refused request, and the
//! x-ratelimit headers (draft-ietf-httpapi-ratelimit-headers-03, in the form
//! that Envoy's local rate limit filter gives them).

use std::sync::Arc;

use btp_policy::spec::Reject;

use super::till::{Level, Till};
use super::{RateLimits, Refusal};
use crate::action::{Action, Reply};
use crate::host::Host;

/// Where a client stands with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    limit: u64,
    remaining: u64,
    /// Seconds until there is a token again, rounded up; 0 if there is one.
    reset: u64,
}

/// `%RESPONSE_CODE_DETAILS%` of a refused request.
const DETAILS: &str = "btp_rate_limited";
/// And of one that found too many in flight.
const CROWDED: &str = "btp_concurrency";
const TOO_MANY_REQUESTS: u16 = 429;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Standing {
    pub(super) fn of(level: Level) -> Self {
        Self {
            limit: level.bucket.burst(),
            remaining: level.tokens,
            reset: level.reset_ns.div_ceil(NANOS_PER_SECOND),
        }
    }

    /// The headers, added to a response.
    pub(crate) fn add_to_response(self, out: &mut Vec<Action>) {
        let headers = self.headers();
        out.extend(
            headers
                .into_iter()
                .map(|(name, value)| Action::AddResponseHeader(name, value)),
        );
    }

    fn headers(self) -> [(&'static str, String); 3] {
        [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
        ]
    }
}

impl RateLimits {
    /// What the client gets that this rule refuses.
    pub(super) fn reply<H: Host>(&self, refusal: Refusal, till: &Till<'_, H>) -> Arc<Reply> {
        let Some(rule) = self.rules.get(refusal.hit.rule) else {
            return Arc::new(rejection(&Reject::default()));
        };
        let mut reply = rule.reject.as_ref().clone();
        let level = rule
            .bucket(refusal.hit)
            .filter(|_| rule.headers && refusal.wait != Some(0))
            .and_then(|bucket| till.level(bucket));
        if let Some(level) = level {
            let headers = Standing::of(level).headers();
            let owned = headers.map(|(name, value)| (name.to_owned(), value));
            reply.headers.extend(owned);
        }
        if let Some(wait) = refusal.wait.filter(|_| self.retry_after) {
            let seconds = wait.div_ceil(NANOS_PER_SECOND).max(1);
            let header = ("retry-after".to_owned(), seconds.to_string());
            reply.headers.push(header);
        }
        Arc::new(reply)
    }
}

/// The reply to a request that finds too many in flight. Nobody knows how long
/// to wait.
pub(super) fn crowded(reject: &Reject) -> Reply {
    Reply {
        details: CROWDED,
        ..rejection(reject)
    }
}

/// The part of the reply that is always the same.
pub(super) fn rejection(reject: &Reject) -> Reply {
    let content_type = reject.content_type.as_deref().unwrap_or("text/plain");
    let own = reject.headers.iter();
    let own = own.map(|(name, value)| (name.as_str().to_owned(), value.clone()));
    Reply {
        status: reject
            .status
            .map_or(TOO_MANY_REQUESTS, btp_policy::scalar::HttpStatus::get),
        headers: std::iter::once(("content-type".to_owned(), content_type.to_owned()))
            .chain(own)
            .collect(),
        body: reject
            .body
            .as_deref()
            .unwrap_or("local_rate_limited")
            .to_owned(),
        grpc_status: reject.grpc_status,
        details: DETAILS,
    }
}
