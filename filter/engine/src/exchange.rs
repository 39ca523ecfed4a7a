//! One HTTP exchange: a request, its response, and what happens in between.
//!
//! The adapter calls one method per event, in HTTP's order, and performs the resulting
//! actions afterwards. `state` has the states and their transitions. `request` and `body`
//! handle the request's events, `response` the response's, `retry` the retries of both;
//! `inspect` reads the request's headers.

mod body;
mod context;
mod inspect;
mod redirect;
mod request;
mod response;
mod retry;
mod state;

use crate::host::metrics::Labels;
use crate::plan::Plan;
use crate::rate_limit::{InFlightKey, LimitHeaders};
use crate::request_buffer::body_progress::BodyProgress;
use crate::retry::ExchangeId;
use crate::worker::Counted;
pub use context::Context;
use inspect::RequestFacts;
use retry::Attempt;
use state::{RequestState, ResponseState};

/// A body for which its request's headers wait.
#[derive(Clone, Copy, Debug)]
pub struct AwaitedBody<'a> {
    /// When the wait began, on the host's monotonic clock.
    pub since: u64,
    /// The policy that buffers it.
    pub policy: &'a Labels,
}

/// The state of one exchange. What few have is in boxes: clients decide how
/// many there are, and a host keeps them in tables with room to spare.
#[derive(Debug, Default)]
pub struct Exchange {
    request: RequestState,
    response: ResponseState,
    policy: Option<usize>,
    /// The Service that it goes to, where that may bound its retries.
    service: Option<usize>,
    facts: RequestFacts,
    /// It is counted among the delayed, until it is not any more or ends.
    is_delayed: bool,
    /// Its places among the requests in flight.
    in_flight: Vec<InFlightKey>,
    /// So many rules have taken tokens for it, until it is decided whether it passes.
    paid: usize,
    /// What had counted the request when Envoy began it anew.
    counted_before: Option<Box<Counted>>,
    /// The account of the request's body, as long as a limit watches it.
    body: Option<Box<BodyProgress>>,
    /// What the response says of rate limits.
    limit_headers: Option<Box<LimitHeaders>>,
    /// Its place in the ledger of retries, as the downstream instance has it.
    opened: Option<ExchangeId>,
    /// The attempt that this is, at the upstream position.
    attempt: Option<Attempt>,
}

impl Exchange {
    /// When the `timer` event is to come, in nanoseconds of the host's monotonic
    /// clock, or as soon after it as the host can. Any event may change it.
    #[must_use]
    pub fn wakes_at(&self) -> Option<u64> {
        match &self.request {
            RequestState::Delayed { until, .. }
            | RequestState::Queued { until }
            | RequestState::AwaitingCredit { until } => Some(*until),
            RequestState::Buffering | RequestState::Passing => self.body.as_ref()?.wakes_at(),
            RequestState::New | RequestState::Answered => None,
        }
    }

    /// What its headers wait for, if that is nothing but its body.
    #[must_use]
    pub fn awaited_body<'a>(&self, plan: &'a Plan) -> Option<AwaitedBody<'a>> {
        match self.request {
            RequestState::Buffering => Some(AwaitedBody {
                since: self.body.as_ref()?.started()?,
                policy: plan.buffering_labels(self.policy)?,
            }),
            _ => None,
        }
    }

    /// Whether nothing that may still come matters: no further event needs to
    /// be fed, not even the last.
    #[must_use]
    pub fn is_over(&self, plan: &Plan) -> bool {
        match (&self.request, &self.response) {
            // It waits for an event.
            (
                RequestState::New
                | RequestState::Delayed { .. }
                | RequestState::Queued { .. }
                | RequestState::Buffering
                | RequestState::AwaitingCredit { .. },
                _,
            ) => false,
            // What still comes must be told from what passes.
            (RequestState::Answered, _)
            | (_, ResponseState::Replacing { .. } | ResponseState::Replied) => false,
            (RequestState::Passing, ResponseState::Awaited { status }) => {
                status.is_none() && !self.is_overridden(plan) && self.owes_nothing()
            }
            (RequestState::Passing, ResponseState::Passing) => self.owes_nothing(),
        }
    }

    /// Whether it has got a reply of ours, or an event that is still to come may lead to
    /// one.
    #[must_use]
    pub fn may_have_reply(&self, plan: &Plan) -> bool {
        match self.request {
            // A body may become too large or too slow.
            RequestState::Passing => self.body.is_some() || self.is_overridden(plan),
            _ => true,
        }
    }

    fn is_overridden(&self, plan: &Plan) -> bool {
        let policy = plan.policy(self.policy);
        policy.is_some_and(|policy| policy.overrides.is_some())
    }

    /// Whether it holds nothing that others count, and has nothing to add to
    /// the response.
    fn owes_nothing(&self) -> bool {
        // Each field is named, so that none is forgotten.
        let Self {
            request: _,
            response: _,
            policy: _,
            service: _,
            facts: _,
            counted_before: _,
            is_delayed,
            in_flight,
            paid,
            body,
            limit_headers,
            opened,
            attempt,
        } = self;
        !is_delayed
            && in_flight.is_empty()
            && *paid == 0
            && body.is_none()
            && limit_headers.is_none()
            && opened.is_none()
            && attempt.is_none()
            && !self.is_counted()
    }
}

#[cfg(test)]
mod tests;
