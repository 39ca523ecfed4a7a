//! One HTTP exchange: a request, its response, and what happens in between.
//!
//! The adapter calls one method per event, in the order in which HTTP makes
//! them happen, and performs the actions it finds in `out` afterwards. The
//! request's events are in `request`, the response's in `response`, what both
//! have to do with retries in `retry`.

mod body;
mod request;
mod response;
mod retry;

use crate::fault::End;
use crate::look::Look;
use crate::plan::Plan;
use crate::rate_limit::{PlaceRef, Standing};
use crate::request_buffer::body_progress::Intake;
use crate::response_override::HeldBody;
use crate::retry::SlotId;
use retry::Attempt;

/// The state of one exchange. What few have is in boxes: clients decide how
/// many there are, and a host keeps them in tables with room to spare.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Its request has been looked at, or never will be: headers that come
    /// after that change nothing.
    begun: bool,
    policy: Option<usize>,
    look: Look,
    /// Its places among the requests in flight.
    places: Vec<PlaceRef>,
    /// What the response says of rate limits.
    standing: Option<Box<Standing>>,
    phase: Phase,
    /// The response gets this status.
    rewrite: Option<u16>,
    /// It has a place among those who wait.
    waits: bool,
    /// The account of the request's body, as long as a limit watches it.
    intake: Option<Box<Intake>>,
    /// What still comes of the request's body goes nowhere.
    discards: bool,
    /// The response has begun.
    responding: bool,
    /// The request has gone on.
    released: bool,
    /// Its place in the ledger of retries, as the downstream instance has it.
    opened: Option<SlotId>,
    /// The try that this is, at the upstream position.
    attempt: Option<Attempt>,
}

impl Exchange {
    /// Whether nothing that may still come matters: no further event needs to
    /// be fed, not even the last.
    #[must_use]
    pub fn is_over(&self, plan: &Plan) -> bool {
        // Each field is named, so that none is forgotten.
        let Self {
            begun: _,
            policy,
            look: _,
            places,
            standing,
            phase,
            rewrite,
            waits,
            intake,
            discards,
            responding,
            released: _,
            opened,
            attempt,
        } = self;
        let overrides = || plan.policy(*policy)?.overrides.as_ref();
        matches!(phase, Phase::Passing)
            && !discards
            && (*responding || overrides().is_none())
            && standing.is_none()
            && rewrite.is_none()
            && places.is_empty()
            && !waits
            && intake.is_none()
            && opened.is_none()
            && attempt.is_none()
    }
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing of ours is under way.
    #[default]
    Passing,
    /// The request waits until this time, and then goes on or ends.
    Delayed { until: u64, end: Option<End> },
    /// The request waits until this time for tokens that it has taken ahead.
    Queued { until: u64 },
    /// A hedge waits for credit, or for the other try to end.
    Hedged,
    /// The client gets a reply of ours; what passes now is that reply, or
    /// what is left of the response in whose place it went.
    Replied,
    /// The response's body is being replaced as it passes, by this until it
    /// has been written.
    Replacing { unwritten: Option<Box<HeldBody>> },
}

impl Phase {
    /// The time until which the request waits, if it does.
    fn waits_until(&self) -> Option<u64> {
        match self {
            Self::Delayed { until, .. } | Self::Queued { until } => Some(*until),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
