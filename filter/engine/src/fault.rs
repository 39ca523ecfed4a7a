//! Fault injection: which requests wait, which are answered with an error.

mod distribution;
mod header_control;
mod normal;
mod sampling;

use std::sync::Arc;

use btp_policy::Position;
use btp_policy::scalar::{HttpStatus, ObjectName, Ppm};
use btp_policy::spec::{
    AbortAction, CannedReply, FaultInjection, HeaderControl, Schedule, Selector,
};

use crate::action::{Action, Reply};
use crate::definitions::Definitions;
use crate::event::Event;
use crate::host::Host;
use crate::host::metrics::{CounterId, GaugeId, HistogramId, Labels, families};
use crate::request::Request;
use crate::request::required::RequiredInputs;
use crate::request::selector::meets_any;
use crate::shared::quota::{Quota, WORKERS};

pub(crate) use distribution::DelayTables;
use distribution::Length;
use header_control::RequestedFault;
use sampling::{Sampler, Samples, is_sampled};

/// `faultInjection`, compiled.
#[derive(Debug)]
pub(crate) struct Fault {
    attempts: Vec<u32>,
    matches: Vec<Selector>,
    delay: Option<PlannedDelay>,
    abort: Option<PlannedAbort>,
    sampler: Sampler,
    control: Option<HeaderControl>,
    schedule: Option<Schedule>,
    exempt_health_checks: bool,
    pub(crate) delayed: Delayed,
    /// Counts aborts.
    pub(crate) aborts: CounterId,
}

/// The requests that are delayed now: what bounds and what counts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delayed {
    pub(crate) quota: Quota,
    /// How many there are.
    pub(crate) gauge: GaugeId,
    /// Counts delays.
    pub(crate) delays: CounterId,
    /// How long they are, in milliseconds.
    pub(crate) delay_ms: HistogramId,
    /// Counts requests that went untouched as too many were delayed.
    pub(crate) overflow: CounterId,
}

#[derive(Debug)]
struct PlannedDelay {
    share: Ppm,
    length: Length,
}

#[derive(Debug)]
struct PlannedAbort {
    share: Ppm,
    outcome: AbortOutcome,
}

/// What fault injection reads of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FaultInputs {
    is_for: bool,
    samples: Option<Samples>,
    requested: RequestedFault,
}

/// The decision about a request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// It waits for so many nanoseconds.
    pub(crate) delay: Option<u64>,
    /// Then it is aborted like this.
    pub(crate) abort: Option<AbortOutcome>,
}

/// How a request is aborted.
#[derive(Clone, Debug)]
pub(crate) enum AbortOutcome {
    /// With a reply.
    Reply(Arc<Reply>),
    /// The connection breaks.
    Reset,
    /// It goes on, and its response gets this status. Behind the router.
    Status(u16),
}

/// `%RESPONSE_CODE_DETAILS%` of an aborted request.
const DETAILS: &str = "btp_fault_abort";
/// The user agent of Envoy's health checkers.
const HEALTH_CHECK: &[u8] = b"Envoy/HC";
/// What Envoy's fault filter answers.
const BODY: &str = "fault filter abort";

impl Fault {
    pub(crate) fn compile(
        policy: &ObjectName,
        fault: &FaultInjection,
        tables: &mut DelayTables,
        counters: &mut Definitions,
    ) -> Self {
        let delay = fault.delay.as_ref().map(|delay| PlannedDelay {
            share: delay.share,
            length: Length::compile(&delay.length, tables),
        });
        let abort = fault.abort.as_ref().map(|abort| PlannedAbort {
            share: abort.share,
            outcome: match &abort.action {
                AbortAction::Reply(reply) if fault.position == Position::Upstream => {
                    AbortOutcome::Status(abort_reply(reply).status)
                }
                AbortAction::Reply(reply) => AbortOutcome::Reply(Arc::new(abort_reply(reply))),
                AbortAction::Reset => AbortOutcome::Reset,
            },
        });
        Self {
            attempts: fault.attempts.clone(),
            matches: fault.matches.clone(),
            delay,
            abort,
            sampler: Sampler::compile(policy, &fault.sampling, counters),
            control: fault.header_control,
            schedule: fault.schedule,
            exempt_health_checks: fault.exempt_health_checks,
            delayed: Delayed {
                quota: Quota {
                    id: counters.quota(policy, "fault_active"),
                    max: fault.max_active.map_or(u64::MAX, u64::from),
                    slots: WORKERS,
                    owner: None,
                    share: None,
                },
                gauge: counters.gauge(families::FAULT_ACTIVE, Labels::of_policy(policy)),
                delays: counters
                    .counter(families::FAULT_DELAYS_INJECTED, Labels::of_policy(policy)),
                delay_ms: counters.histogram(
                    families::FAULT_DELAY_MILLISECONDS,
                    Labels::of_policy(policy),
                ),
                overflow: counters.counter(families::FAULT_OVERFLOW, Labels::of_policy(policy)),
            },
            aborts: counters.counter(families::FAULT_ABORTS_INJECTED, Labels::of_policy(policy)),
        }
    }

    /// What must be known of a request before anything is drawn.
    pub(crate) fn requires(&self) -> RequiredInputs {
        let own = RequiredInputs {
            headers: self.control.is_some(),
            ..RequiredInputs::default()
        };
        RequiredInputs::of(&self.matches)
            .and(self.sampler.requires())
            .and(own)
    }

    /// The inputs of a request whose headers need not be read.
    pub(crate) fn uninspected(&self) -> FaultInputs {
        FaultInputs {
            is_for: true,
            ..FaultInputs::default()
        }
    }

    /// The inputs of this request.
    #[inline(never)]
    pub(crate) fn inspect(&self, request: &Request<'_>) -> FaultInputs {
        let control = self.control.as_ref();
        FaultInputs {
            is_for: meets_any(request, &self.matches),
            samples: self.sampler.of(request),
            requested: control.map_or_else(RequestedFault::default, |control| {
                RequestedFault::of(request, control)
            }),
        }
    }

    /// Decides what becomes of a request, its delay and its abort drawn
    /// independently.
    pub(crate) fn decide<H: Host>(
        &self,
        inputs: &FaultInputs,
        event: &mut Event<'_, H>,
    ) -> Verdict {
        if inputs.requested.present {
            event
                .out
                .extend(header_control::HEADERS.map(Action::RemoveRequestHeader));
        }
        if !inputs.is_for || !self.is_in_force(event.host) || !self.is_for_attempt(event.host) {
            return Verdict::default();
        }
        if inputs.samples.is_none()
            && let Some(counter) = self.sampler.keyless()
        {
            event.count(counter);
        }
        let verdict = self.draw(inputs, event.host);
        if verdict.is_nothing() || self.exempts(event.host) {
            return Verdict::default();
        }
        verdict
    }

    fn is_in_force<H: Host>(&self, host: &H) -> bool {
        self.schedule
            .is_none_or(|schedule| schedule.covers(host.wall_ms()))
    }

    fn is_for_attempt<H: Host>(&self, host: &H) -> bool {
        self.attempts.is_empty() || self.attempts.contains(&host.attempts())
    }

    #[inline(never)]
    fn draw<H: Host>(&self, inputs: &FaultInputs, host: &mut H) -> Verdict {
        let delayed = |share, host: &mut H| {
            let sample = inputs.samples.map(|samples| samples.delay);
            is_sampled(share, || sample.unwrap_or_else(|| host.random()))
        };
        let delay = match (inputs.requested.delay, &self.delay) {
            (Some((nanos, share)), _) => delayed(share, host).then_some(nanos),
            (None, Some(delay)) => delayed(delay.share, host).then(|| {
                let sample = inputs.samples.map(|samples| samples.length);
                delay
                    .length
                    .nanos(|| sample.unwrap_or_else(|| host.random()))
            }),
            (None, None) => None,
        };
        let mut aborted = |share| {
            let sample = inputs.samples.map(|samples| samples.abort);
            is_sampled(share, || sample.unwrap_or_else(|| host.random()))
        };
        let abort = match (inputs.requested.abort, &self.abort) {
            (Some((status, share)), _) => {
                aborted(share).then(|| AbortOutcome::Reply(Arc::new(abort_reply(&status.into()))))
            }
            (None, Some(planned)) => aborted(planned.share).then(|| planned.outcome.clone()),
            (None, None) => None,
        };
        Verdict {
            delay: delay.filter(|nanos| *nanos > 0),
            abort,
        }
    }

    /// Whether the request is a health check that is exempt.
    fn exempts<H: Host>(&self, host: &H) -> bool {
        self.exempt_health_checks
            && host.request_header("user-agent").as_deref() == Some(HEALTH_CHECK)
    }
}

impl Verdict {
    fn is_nothing(&self) -> bool {
        self.delay.is_none() && self.abort.is_none()
    }
}

/// Envoy's fault filter answers a plain HTTP request with status 200 if only
/// a gRPC status is given; so do we.
fn abort_reply(abort: &CannedReply) -> Reply {
    Reply::text(HttpStatus::OK.get(), BODY, DETAILS).customized(abort)
}

#[cfg(test)]
mod tests;
