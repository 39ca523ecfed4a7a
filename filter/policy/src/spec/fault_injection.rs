//! `spec.faultInjection`: delay a share of the requests, abort a share.
//!
//! Source: Envoy Gateway's `FaultInjection`; Envoy's `HTTPFault` for what
//! the schema lets through and Envoy refuses (a delay of zero, status 600).
//! `delay` and the statuses of `abort` are Envoy Gateway's, the rest are
//! extensions.

mod abort;
mod control;
mod sampling;
mod schedule;

pub use abort::{Abort, AbortReply, AbortStatus, Abortion};
pub use control::HeaderControl;
pub use sampling::{Sampling, SamplingKey};
pub use schedule::Schedule;

use crate::problem::Problems;
use crate::read::{At, Object};
use crate::scalar::{Duration, Ppm};
use crate::spec::selector::Selector;

/// Delay and abort are drawn independently, the delay first.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultInjection {
    /// Which requests it is for, any of these; none: all.
    pub matches: Vec<Selector>,
    /// Hold a request before it goes on.
    pub delay: Option<Delay>,
    /// Answer a request instead of forwarding it.
    pub abort: Option<Abort>,
    /// How the shares are drawn.
    pub sampling: Sampling,
    /// What requests may ask for by header; `None`: nothing.
    pub header_control: Option<HeaderControl>,
    /// When it is in force; `None`: always.
    pub schedule: Option<Schedule>,
    /// The most requests that are held at once, all workers together.
    pub max_active: Option<u32>,
    /// Envoy's own health checks are left alone.
    pub exempt_health_checks: bool,
}

/// `delay`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    /// How long; more than zero.
    pub fixed: Duration,
    /// Share of requests that are delayed.
    pub share: Ppm,
}

const FIELDS: [&str; 8] = [
    "match",
    "delay",
    "abort",
    "sampling",
    "headerControl",
    "schedule",
    "maxActive",
    "exemptHealthChecks",
];

impl FaultInjection {
    /// Reads `faultInjection`: at least one of `delay`, `abort` and
    /// `headerControl`.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&FIELDS, problems)?;
        if !["delay", "abort", "headerControl"]
            .iter()
            .any(|name| object.has(name))
        {
            at.refuse(problems, "must have delay, abort or headerControl");
        }
        let matches = match object.get("match") {
            Some(at) => Selector::read_any(at, problems),
            None => Some(Vec::new()),
        };
        let sampling = match object.get("sampling") {
            Some(at) => Sampling::read(at, problems),
            None => Some(Sampling::Random),
        };
        let header_control = read_optional(&object, "headerControl", problems, HeaderControl::read);
        let schedule = read_optional(&object, "schedule", problems, Schedule::read);
        let max_active = read_optional(&object, "maxActive", problems, |at, problems| {
            let most = at.integer(1..=i64::from(u32::MAX), problems)?;
            u32::try_from(most).ok()
        });
        if let Some(at) = object.get("maxActive")
            && !object.has("delay")
            && object
                .get("headerControl")
                .is_none_or(|it| it.node.field("delay").is_none())
        {
            at.refuse(problems, "must be left out: nothing waits without a delay");
        }
        let exempt_health_checks = match object.get("exemptHealthChecks") {
            Some(at) => at.boolean(problems),
            None => Some(true),
        };
        let delay = read_optional(&object, "delay", problems, Delay::read);
        let abort = read_optional(&object, "abort", problems, Abort::read);
        Some(Self {
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

impl Delay {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object(&["fixedDelay", "percentage"], problems)?;
        let fixed = object
            .required("fixedDelay", problems)
            .and_then(|at| Duration::read_positive(at, problems));
        let share = read_share(&object, problems);
        Some(Self {
            fixed: fixed?,
            share: share?,
        })
    }
}

/// `percentage`, all by default.
fn read_share(object: &Object<'_>, problems: &mut Problems) -> Option<Ppm> {
    match object.get("percentage") {
        Some(at) => Ppm::read(at, problems),
        None => Some(Ppm::ALWAYS),
    }
}

/// A field that may be left out: `Some(None)`. `None` if it is wrong.
fn read_optional<T>(
    object: &Object<'_>,
    name: &str,
    problems: &mut Problems,
    read: impl Fn(At<'_>, &mut Problems) -> Option<T>,
) -> Option<Option<T>> {
    match object.get(name) {
        Some(at) => read(at, problems).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests;
