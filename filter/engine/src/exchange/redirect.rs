//! Internal redirects: a client's request is counted only once.
//!
//! Envoy's router follows such a redirect by itself. It ends the exchange without a
//! response and begins another one for the same request, which passes all filters again.
//! Rate limits and faults have counted the request by then. The worker keeps what they have
//! counted from the end of the one exchange to the beginning of the other, which follows at
//! once. The start time of the client's request identifies the pair, and no client can
//! choose it.

use super::state::{RequestState, ResponseState};
use super::{Context, Exchange};
use crate::host::Host;
use crate::rate_limit::LimitHeaders;
use crate::worker::{Counted, Worker};

impl Exchange {
    /// Takes over what was counted before a redirect, if that is how this exchange has
    /// come about.
    pub(super) fn continue_redirected<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        // Mostly the last exchange has had its response.
        let Some(counted) = cx.worker.ended_unanswered.take() else {
            return;
        };
        if cx.event.host.start_time_ns() == Some(counted.started_ns) {
            self.counted_before = Some(counted);
        }
    }

    /// Its rate limit headers, or those of before a redirect if no rule has counted it
    /// since.
    pub(super) fn own_or_earlier(
        &mut self,
        own: Option<LimitHeaders>,
    ) -> Option<Box<LimitHeaders>> {
        let earlier = self.counted_before.as_mut();
        own.map(Box::new)
            .or_else(|| earlier.and_then(|earlier| earlier.headers.take()))
    }

    /// The exchange ends. Without a response, Envoy may be about to redirect it.
    pub(super) fn end_unanswered<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        let is_unanswered = matches!(
            (&self.request, &self.response),
            (RequestState::Passing, ResponseState::Awaited { .. })
        );
        if !is_unanswered || !self.is_counted() || cx.plan.is_upstream() {
            return;
        }
        let Some(started_ns) = cx.event.host.start_time_ns() else {
            return;
        };
        let before = self.counted_before.take();
        let (mut buckets, mut faults) =
            before.map_or_else(Default::default, |it| (it.buckets, it.faults));
        buckets.extend(self.facts.limits.iter().map(|rule| rule.key));
        faults.extend(self.policy.filter(|_| self.facts.is_sampled));
        cx.worker.ended_unanswered = Some(Box::new(Counted {
            started_ns,
            buckets,
            faults,
            headers: self.limit_headers.take(),
        }));
    }

    /// A response has come: Envoy cannot redirect the request any more.
    pub(super) fn forget_counted(&mut self, worker: &mut Worker) {
        self.counted_before = None;
        self.facts.is_sampled = false;
        worker.keep_room(&mut self.facts.limits);
    }

    /// Whether anything has counted it that is to count it once.
    pub(super) fn is_counted(&self) -> bool {
        self.facts.is_sampled || !self.facts.limits.is_empty() || self.counted_before.is_some()
    }
}

#[cfg(test)]
mod tests;
