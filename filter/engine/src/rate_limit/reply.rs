//! The reply to a refused request.

use std::sync::Arc;

use btp_policy::spec::Reject;

use super::headers::{Lists, Standing, Tells, seconds};
use super::limiter::Till;
use super::{Hit, RateLimits, Refusal};
use crate::action::Reply;
use crate::host::Host;

/// `%RESPONSE_CODE_DETAILS%` of a refused request.
const DETAILS: &str = "btp_rate_limited";
/// And of one that found too many in flight.
const CROWDED: &str = "btp_concurrency";
const TOO_MANY_REQUESTS: u16 = 429;

impl RateLimits {
    /// What the client gets that this rule refuses. Of the other rules that
    /// counted the request, those speak that are known to refuse it, too.
    pub(super) fn reply<H: Host>(
        &self,
        refusal: Refusal,
        hits: &[Hit],
        till: &Till<'_, '_, H>,
    ) -> Arc<Reply> {
        let Some(rule) = self.rules.get(refusal.hit.rule) else {
            return Arc::new(rejection(&Reject::default()));
        };
        let mut reply = rule.reject.as_ref().clone();
        let told = matches!(rule.tells, Tells::XRateLimit) && refusal.wait != Some(0);
        let bucket = rule.bucket(refusal.hit).filter(|_| told);
        let slowest = bucket.and_then(|bucket| till.level(bucket));
        if let Some(standing) = Standing::new(slowest, self.lists(hits, till)) {
            standing.headers(&mut |name, value| reply.headers.push((name.to_owned(), value)));
        }
        if let Some(wait) = refusal.wait.filter(|_| self.retry_after) {
            let header = ("retry-after".to_owned(), seconds(wait).max(1).to_string());
            reply.headers.push(header);
        }
        Arc::new(reply)
    }

    fn lists<H: Host>(&self, hits: &[Hit], till: &Till<'_, '_, H>) -> Lists {
        let mut lists = Lists::default();
        for (rule, hit) in self.enforced(hits) {
            let (Tells::RateLimit(member), Some(bucket)) = (&rule.tells, rule.bucket(hit)) else {
                continue;
            };
            lists.add_policy(member);
            let refuses = till.known_wait(bucket, rule.cost).is_some();
            if let Some(level) = till.level(bucket).filter(|_| refuses) {
                lists.add_limit(member, level);
            }
        }
        lists
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
