//! `spec.faultInjection`: delay a share of the requests, abort a share.
//!
//! Source: Envoy Gateway's `FaultInjection`; Envoy's `HTTPFault` for what
//! the schema lets through and Envoy refuses (a delay of zero, status 600).
//! `delay` and the statuses of `abort` are Envoy Gateway's, the rest are
//! extensions.

#[cfg(feature = "schema")]
mod lints;
pub(super) mod schema;

mod abort;
mod control;
mod delay;
mod sampling;
mod schedule;

pub use abort::{Abort, AbortAction, AbortStatus};
pub use control::HeaderControl;
pub use delay::{Delay, DelayLength, Distribution, Spread};
pub use sampling::{Sampling, SamplingKey};
pub use schedule::Schedule;

use crate::code::Code;
use crate::node::Value;
use crate::position::Position;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::regex::Regexes;
use crate::scalar::Ppm;
use crate::spec::selector::Selector;

/// Delay and abort are drawn independently, the delay first.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultInjection {
    /// Which instance injects.
    pub position: Position,
    /// The attempts that it is for, from 1; none: every attempt. Upstream only.
    pub attempts: Vec<u32>,
    /// Which requests it is for, any of these; none: all.
    pub matches: Vec<Selector>,
    /// Hold a request before it goes on.
    pub delay: Option<Delay>,
    /// Answer a request instead of forwarding it.
    pub abort: Option<Abort>,
    /// How the shares are drawn.
    pub sampling: Sampling,
    /// What requests may request by header; `None`: nothing.
    pub header_control: Option<HeaderControl>,
    /// When it is in force; `None`: always.
    pub schedule: Option<Schedule>,
    /// The most requests that are held at once, all workers together.
    pub max_active: Option<u32>,
    /// Envoy's own health checks are left alone.
    pub exempt_health_checks: bool,
}

impl FaultInjection {
    /// Reads `faultInjection`: at least one of `delay`, `abort` and
    /// `headerControl`.
    pub fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::FAULT_INJECTION, problems)?;
        if !["delay", "abort", "headerControl"]
            .iter()
            .any(|name| object.has(name))
        {
            at.refuse(
                problems,
                Code::NoneOfFields,
                "must have delay, abort or headerControl",
            );
        }
        let position = object.or_default("position", problems, Position::read);
        let attempts = object.or_default("attempts", problems, |at, problems| {
            at.list(1..=16, problems, |at, problems| {
                u32::try_from(at.integer(1..=100, problems)?).ok()
            })
        });
        check_position(&object, position.unwrap_or_default(), problems);
        let matches = object.or_default("match", problems, |at, problems| {
            Selector::read_any(at, regexes, problems)
        });
        let sampling = object.or_default("sampling", problems, Sampling::read);
        let header_control = object.optional("headerControl", problems, HeaderControl::read);
        let schedule = object.optional("schedule", problems, Schedule::read);
        let max_active = object.optional("maxActive", problems, |at, problems| {
            let most = at.integer(1..=i64::from(u32::MAX), problems)?;
            u32::try_from(most).ok()
        });
        if let Some(at) = object.get("maxActive")
            && !object.has("delay")
            && object
                .get("headerControl")
                .is_none_or(|it| it.node.field("delay").is_none())
        {
            at.refuse(
                problems,
                Code::ExcludedField,
                "must be left out without a delay: nothing waits",
            );
        }
        let exempt_health_checks = object.or("exemptHealthChecks", true, problems, Cursor::boolean);
        let delay = object.optional("delay", problems, Delay::read);
        let abort = object.optional("abort", problems, Abort::read);
        Some(Self {
            position: position?,
            attempts: attempts?,
            matches: matches?,
            delay: delay?,
            abort: abort?,
            sampling: sampling?,
            header_control: header_control?,
            schedule: schedule?,
            max_active: max_active?,
            exempt_health_checks: exempt_health_checks?,
        })
    }
}

/// Refuses what has no meaning in this position. A reply or a reset among the
/// upstream filters ends the whole request, so that nothing can be retried.
fn check_position(object: &Object<'_>, position: Position, problems: &mut Problems) {
    if position == Position::Downstream {
        if let Some(at) = object.get("attempts") {
            let reason = "must be left out: attempts are known with position Upstream only";
            at.refuse(problems, Code::ExcludedField, reason);
        }
        return;
    }
    if let Some(at) = object.get("headerControl") {
        at.refuse(
            problems,
            Code::ExcludedField,
            "must be left out with position Upstream",
        );
    }
    let Some(abort) = object.get("abort") else {
        return;
    };
    let Some(abort) = abort.open_object(&mut Problems::default()) else {
        return;
    };
    for name in ["grpcStatus", "reset", "body", "contentType", "headers"] {
        if let Some(at) = abort.get(name)
            && at.node.value != Value::Bool(false)
        {
            let reason = "must be left out with position Upstream, where an abort only rewrites \
                the status of the response: set httpStatus";
            at.refuse(problems, Code::ExcludedField, reason);
        }
    }
    if let Some(at) = abort.get("httpStatus")
        && matches!(at.node.value, Value::Int(204 | 205 | 304))
    {
        let reason = "must be a status with a body with position Upstream: the response keeps its \
            body";
        at.refuse(problems, Code::WrongStatus, reason);
    }
}

/// `percentage`, all by default.
fn read_share(object: &Object<'_>, problems: &mut Problems) -> Option<Ppm> {
    object.or("percentage", Ppm::ALWAYS, problems, Ppm::read)
}

#[cfg(test)]
mod tests;
