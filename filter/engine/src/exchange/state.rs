//! How far an exchange has come, its request and its response apart.
//!
//! ```text
//! request   New ──► Delayed ──► Queued ──► Buffering ──► Passing
//!            │         │          │            │            │
//!            │         └──────────┴────────────┴──────┬─────┘
//!            ├──► AwaitingCredit ──► Passing          │ we answer, or somebody
//!            │           │                            │ else answers a request
//!            │           │ no credit                  ▼ that is buffered
//!            └───────────┴─────────────────────► Answered
//! ```
//!
//! Each of the three waits may be left out. `AwaitingCredit` is only reached
//! behind the router. If a response arrives while the request waits for time or
//! credit, which the proxy then has made itself, the request is `Passing`:
//! nothing of ours holds it any more.
//!
//! ```text
//! response  Awaited ──► Passing ──► Replacing
//!              │           │
//!              └───────────┴──────► Replied
//! ```
//!
//! The host makes events in the order of HTTP. What comes out of order leads to
//! nothing:
//!
//! - request headers in any state but `New`: a piece of the body without bytes;
//! - body, trailers or a timer in `New`: the request is `Passing`, and its
//!   headers are not looked at any more;
//! - a timer that comes too early: the wait goes on;
//! - a timer in `Passing` or `Answered`: nobody waits;
//! - body or trailers in `Answered`: they go nowhere;
//! - response headers in any state but `Awaited`: they pass. In `Replied` these
//!   are the headers of our own reply;
//! - body or trailers of the response in any state but `Replacing`: they pass.

use crate::fault::AbortOutcome;
use crate::response_override::HeldBody;

/// Where the request is, and what holds it.
#[derive(Debug, Default)]
pub(super) enum RequestState {
    /// It has not come, or what becomes of it is being decided.
    #[default]
    New,
    /// It waits until this time, and then goes on or ends.
    Delayed {
        until: u64,
        abort: Option<AbortOutcome>,
    },
    /// It waits until this time for tokens that it has taken ahead.
    Queued { until: u64 },
    /// Its headers wait until its body is complete.
    Buffering,
    /// A hedged attempt waits for credit, or for the other attempt to end, and asks
    /// again at this time.
    AwaitingCredit { until: u64 },
    /// Nothing of ours holds it: its data passes.
    Passing,
    /// It has been answered: its remaining data is dropped.
    Answered,
}

/// Where the response is.
#[derive(Debug)]
pub(super) enum ResponseState {
    /// There is none yet. It gets this status when it comes.
    Awaited { status: Option<u16> },
    /// It passes as it is, or under other headers.
    Passing,
    /// Its body is replaced as it passes, by this until that has been written.
    Replacing { unwritten: Option<Box<HeldBody>> },
    /// The client gets a reply of ours; what passes now is that reply, or what
    /// is left of the response in whose place it went.
    Replied,
}

impl Default for ResponseState {
    fn default() -> Self {
        Self::Awaited { status: None }
    }
}

impl RequestState {
    /// The time until which the request waits, if it does.
    pub(super) fn waits_until(&self) -> Option<u64> {
        match self {
            Self::Delayed { until, .. } | Self::Queued { until } => Some(*until),
            Self::New
            | Self::Buffering
            | Self::AwaitingCredit { .. }
            | Self::Passing
            | Self::Answered => None,
        }
    }

    /// A response arrives, which ends every wait but that for a body: that one
    /// ends when the body's account is closed.
    pub(super) fn response_arrives(&mut self) {
        match self {
            // Nothing of the request has been seen, and nothing will be looked
            // at any more: a filter in front of this one has answered.
            Self::New => *self = Self::Passing,
            // The proxy has answered by itself, as after a timeout.
            Self::Delayed { .. } | Self::Queued { .. } | Self::AwaitingCredit { .. } => {
                *self = Self::Passing;
            }
            Self::Buffering | Self::Passing | Self::Answered => {}
        }
    }
}

impl ResponseState {
    /// Whether response headers have come from upstream or from the proxy.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Passing | Self::Replacing { .. } => true,
            Self::Awaited { .. } | Self::Replied => false,
        }
    }
}
