//! The reply to a refused request.

use std::sync::Arc;

use btp_policy::spec::CannedReply;

use super::decide::Refusal;
use super::headers::{HeaderFormat, HeaderLists, LimitHeaders, seconds};
use super::limiter::Limiter;
use super::{MatchedRule, RateLimits};
use crate::action::Reply;
use crate::host::Host;

/// `%RESPONSE_CODE_DETAILS%` of a refused request.
const DETAILS: &str = "btp_rate_limited";
/// And of one that found too many in flight.
const CONCURRENCY_LIMITED: &str = "btp_concurrency";
const TOO_MANY_REQUESTS: u16 = 429;

impl RateLimits {
    /// What the client gets that this rule refuses. Other rules that counted the
    /// request contribute headers only if they are known to refuse it as well.
    pub(super) fn reply<H: Host>(
        &self,
        refusal: Refusal,
        matched: &[MatchedRule],
        limiter: &Limiter<'_, '_, H>,
    ) -> Arc<Reply> {
        let Some(rule) = self.rules.get(refusal.matched_rule.rule) else {
            return Arc::new(rejection(&CannedReply::default()));
        };
        let mut reply = rule.reject.as_ref().clone();
        // Nothing is known of a bucket that was out of reach.
        let told = matches!(rule.headers, HeaderFormat::XRateLimit) && refusal.wait != Some(0);
        let bucket = rule.bucket(refusal.matched_rule).filter(|_| told);
        let slowest = bucket.and_then(|bucket| limiter.state(bucket));
        if let Some(headers) = LimitHeaders::new(slowest, self.lists(matched, limiter)) {
            headers.headers(&mut |name, value| {
                let value = String::from_utf8_lossy(&value).into_owned();
                reply.headers.push((name.to_owned(), value));
            });
        }
        if let Some(wait) = refusal.wait.filter(|_| self.retry_after) {
            let header = ("retry-after".to_owned(), seconds(wait).max(1).to_string());
            reply.headers.push(header);
        }
        Arc::new(reply)
    }

    fn lists<H: Host>(&self, matched: &[MatchedRule], limiter: &Limiter<'_, '_, H>) -> HeaderLists {
        let mut lists = HeaderLists::default();
        for (rule, matched_rule) in self.enforced(matched) {
            let (HeaderFormat::Draft10(item), Some(bucket)) =
                (&rule.headers, rule.bucket(matched_rule))
            else {
                continue;
            };
            lists.add_policy(item);
            let refuses = limiter.cached_denial(bucket, rule.cost).is_some();
            if let Some(state) = limiter.state(bucket).filter(|_| refuses) {
                lists.add_limit(item, state);
            }
        }
        lists
    }
}

/// The reply when the concurrency limit is reached. Nobody knows how long to
/// wait.
pub(super) fn concurrency_limited(reject: &CannedReply) -> Reply {
    Reply {
        details: CONCURRENCY_LIMITED,
        ..rejection(reject)
    }
}

/// The part of the reply that is always the same.
pub(super) fn rejection(reject: &CannedReply) -> Reply {
    Reply::text(TOO_MANY_REQUESTS, "local_rate_limited", DETAILS).customized(reject)
}
