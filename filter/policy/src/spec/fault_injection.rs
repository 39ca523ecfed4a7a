//! `spec.faultInjection`: delay a share of the requests, abort a share.
//!
//! Source: Envoy Gateway's `FaultInjection`; Envoy's `HTTPFault` for what
//! the schema lets through and Envoy refuses (a delay of zero, status 600).

use crate::problem::Problems;
use crate::read::At;
use crate::scalar::{Duration, HttpStatus, Ppm};
use crate::spec::selector::Selector;

/// Delay and abort are drawn independently, the delay first.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultInjection {
    /// Which requests it is for, any of these; none: all. An extension.
    pub matches: Vec<Selector>,
    /// Hold a request before it goes on.
    pub delay: Option<Delay>,
    /// Answer a request instead of forwarding it.
    pub abort: Option<Abort>,
}

/// `delay`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// How long; more than zero.
    pub fixed: Duration,
    /// Share of requests that are delayed.
    pub share: Ppm,
}

/// `abort`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Abort {
    /// What the client gets.
    pub status: AbortStatus,
    /// Share of requests that are aborted.
    pub share: Ppm,
}

/// Exactly one of `httpStatus` and `grpcStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// An HTTP status, 200 to 599.
    Http(HttpStatus),
    /// A gRPC status code, 0 to 16.
    Grpc(u8),
}

impl FaultInjection {
    /// Reads `faultInjection`: `delay`, `abort` or both.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["match", "delay", "abort"], problems)?;
        if !object.has("delay") && !object.has("abort") {
            at.refuse(problems, "must have delay, abort or both");
        }
        let matches = match object.get("match") {
            Some(at) => Selector::read_any(at, problems)?,
            None => Vec::new(),
        };
        Some(Self {
            matches,
            delay: object.get("delay").and_then(|at| Delay::read(at, problems)),
            abort: object.get("abort").and_then(|at| Abort::read(at, problems)),
        })
    }
}

impl Delay {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["fixedDelay", "percentage"], problems)?;
        let fixed = object
            .required("fixedDelay", problems)
            .and_then(|at| Duration::read_positive(at, problems));
        let share = match object.get("percentage") {
            Some(at) => Ppm::read(at, problems),
            None => Some(Ppm::ALWAYS),
        };
        Some(Self {
            fixed: fixed?,
            share: share?,
        })
    }
}

impl Abort {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["httpStatus", "grpcStatus", "percentage"], problems)?;
        let share = match object.get("percentage") {
            Some(at) => Ppm::read(at, problems),
            None => Some(Ppm::ALWAYS),
        };
        let status = match (object.get("httpStatus"), object.get("grpcStatus")) {
            (Some(http), None) => HttpStatus::read(http, problems).map(AbortStatus::Http),
            (None, Some(grpc)) => grpc
                .integer(0..=16, problems)
                .and_then(|code| u8::try_from(code).ok())
                .map(AbortStatus::Grpc),
            _ => {
                at.refuse(
                    problems,
                    "must have exactly one of httpStatus and grpcStatus",
                );
                None
            }
        };
        Some(Self {
            status: status?,
            share: share?,
        })
    }
}
