//! Fault injection: which requests wait, which are answered with an error.

mod distribution;
mod draw;
mod header_control;
mod math;
mod sampling;

use std::sync::Arc;

use btp_policy::Position;
use btp_policy::scalar::{HttpStatus, ObjectName, Ppm};
use btp_policy::spec::{
    AbortReply, AbortStatus, Abortion, FaultInjection, HeaderControl, Schedule, Selector,
};

use crate::action::{Action, Reply};
use crate::definitions::Definitions;
use crate::event::Event;
use crate::host::Host;
use crate::host::metrics::{CounterId, GaugeId};
use crate::request::Request;
use crate::request::required::RequiredInputs;
use crate::request::selector::meets_any;
use crate::shared::quota::{Quota, WORKERS};

pub(crate) use distribution::DelayTables;
use distribution::Length;
use draw::hits;
use header_control::Asked;
use sampling::{Drawn, Draws};

/// `faultInjection`, compiled.
#[derive(Debug)]
pub(crate) struct Fault {
    attempts: Vec<u32>,
    matches: Vec<Selector>,
    delay: Option<PlannedDelay>,
    abort: Option<PlannedAbort>,
    draws: Draws,
    control: Option<HeaderControl>,
    schedule: Option<Schedule>,
    exempt_health_checks: bool,
    /// What keeps and counts those who wait.
    pub(crate) held: Held,
    /// Counts aborts.
    pub(crate) aborts: CounterId,
}

/// Those who wait, and what tells of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) active: Quota,
    /// Those who wait now.
    pub(crate) gauge: GaugeId,
    /// Counts delays.
    pub(crate) delays: CounterId,
    /// Counts requests that went untouched as too many waited.
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
    end: End,
}

/// What of a request matters to fault injection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    is_for: bool,
    drawn: Option<Drawn>,
    asked: Asked,
    /// `None` if the headers were not read.
    is_health_check: Option<bool>,
}

/// What becomes of a request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// It waits for so many nanoseconds.
    pub(crate) delay: Option<u64>,
    /// Then it ends like this.
    pub(crate) end: Option<End>,
}

/// How a request ends that does not go on.
#[derive(Clone, Debug)]
pub(crate) enum End {
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
            end: match &abort.action {
                Abortion::Reply(reply) if fault.position == Position::Upstream => {
                    End::Status(plain_reply(reply.status).status)
                }
                Abortion::Reply(reply) => End::Reply(Arc::new(abort_reply(reply))),
                Abortion::Reset => End::Reset,
            },
        });
        Self {
            attempts: fault.attempts.clone(),
            matches: fault.matches.clone(),
            delay,
            abort,
            draws: Draws::compile(policy, &fault.sampling, counters),
            control: fault.header_control,
            schedule: fault.schedule,
            exempt_health_checks: fault.exempt_health_checks,
            held: Held {
                active: Quota {
                    table: counters.table(policy, "fault_active"),
                    max: fault.max_active.map_or(u64::MAX, u64::from),
                    slots: WORKERS,
                    owner: None,
                },
                gauge: counters.gauge(policy, "fault_active"),
                delays: counters.define(policy, "fault_delays_injected"),
                overflow: counters.define(policy, "fault_overflow"),
            },
            aborts: counters.define(policy, "fault_aborts_injected"),
        }
    }

    /// What must be known of a request before anything is drawn.
    pub(crate) fn requires(&self) -> RequiredInputs {
        let own = RequiredInputs {
            headers: self.control.is_some(),
            ..RequiredInputs::default()
        };
        RequiredInputs::of(&self.matches)
            .and(self.draws.requires())
            .and(own)
    }

    /// A request whose headers nobody had to read.
    pub(crate) fn unseen(&self) -> Seen {
        Seen {
            is_for: true,
            ..Seen::default()
        }
    }

    /// What of this request matters.
    #[inline(never)]
    pub(crate) fn see(&self, request: &Request<'_>) -> Seen {
        let control = self.control.as_ref();
        Seen {
            is_for: meets_any(request, &self.matches),
            drawn: self.draws.of(request),
            asked: control.map_or_else(Asked::default, |control| Asked::by(request, control)),
            is_health_check: Some(is_health_check(request.header("user-agent").as_deref())),
        }
    }

    /// Decides what becomes of a request, its delay and its abort drawn
    /// independently.
    pub(crate) fn decide<H: Host>(&self, seen: &Seen, event: &mut Event<'_, H>) -> Verdict {
        if seen.asked.present {
            event
                .out
                .extend(header_control::HEADERS.map(Action::RemoveRequestHeader));
        }
        if !seen.is_for || !self.is_in_force(event.host) || !self.is_for_attempt(event.host) {
            return Verdict::default();
        }
        if seen.drawn.is_none()
            && let Some(counter) = self.draws.keyless()
        {
            event.count(counter);
        }
        let verdict = self.draw(seen, event.host);
        if verdict.is_nothing() || self.spares(seen, event.host) {
            return Verdict::default();
        }
        verdict
    }

    fn is_in_force<H: Host>(&self, host: &mut H) -> bool {
        self.schedule
            .is_none_or(|schedule| schedule.covers(host.wall_ms()))
    }

    fn is_for_attempt<H: Host>(&self, host: &mut H) -> bool {
        self.attempts.is_empty()
            || host
                .attempt()
                .is_some_and(|attempt| self.attempts.contains(&attempt))
    }

    #[inline(never)]
    fn draw<H: Host>(&self, seen: &Seen, host: &mut H) -> Verdict {
        let delayed = |share, host: &mut H| {
            let drawn = seen.drawn.map(|drawn| drawn.delay);
            hits(share, || drawn.unwrap_or_else(|| host.random()))
        };
        let delay = match (seen.asked.delay, &self.delay) {
            (Some((nanos, share)), _) => delayed(share, host).then_some(nanos),
            (None, Some(delay)) => delayed(delay.share, host).then(|| {
                let drawn = seen.drawn.map(|drawn| drawn.length);
                delay
                    .length
                    .nanos(|| drawn.unwrap_or_else(|| host.random()))
            }),
            (None, None) => None,
        };
        let mut abort = |share| {
            let drawn = seen.drawn.map(|drawn| drawn.abort);
            hits(share, || drawn.unwrap_or_else(|| host.random()))
        };
        let end = match (seen.asked.abort, &self.abort) {
            (Some((status, share)), _) => {
                abort(share).then(|| End::Reply(Arc::new(plain_reply(status))))
            }
            (None, Some(planned)) => abort(planned.share).then(|| planned.end.clone()),
            (None, None) => None,
        };
        Verdict {
            delay: delay.filter(|nanos| *nanos > 0),
            end,
        }
    }

    /// Whether the request is a health check, which is left alone.
    fn spares<H: Host>(&self, seen: &Seen, host: &mut H) -> bool {
        self.exempt_health_checks
            && seen
                .is_health_check
                .unwrap_or_else(|| host.request_header("user-agent", is_health_check))
    }
}

impl Verdict {
    fn is_nothing(&self) -> bool {
        self.delay.is_none() && self.end.is_none()
    }
}

fn is_health_check(user_agent: Option<&[u8]>) -> bool {
    user_agent == Some(HEALTH_CHECK)
}

/// Envoy's fault filter answers a plain HTTP request with status 200 if only
/// a gRPC status is given; so do we.
fn plain_reply(status: AbortStatus) -> Reply {
    let (status, grpc_status) = match status {
        AbortStatus::Http(status) => (status, None),
        AbortStatus::Grpc(code) => (HttpStatus::OK, Some(code)),
    };
    let mut reply = Reply {
        status: status.get(),
        headers: Vec::new(),
        body: String::new(),
        grpc_status,
        details: DETAILS,
    };
    if !status.forbids_body() {
        let text = ("content-type".to_owned(), "text/plain".to_owned());
        reply.headers.push(text);
        reply.body.push_str(BODY);
    }
    reply
}

fn abort_reply(abort: &AbortReply) -> Reply {
    let mut reply = plain_reply(abort.status);
    if let Some(text) = &abort.body {
        reply.body.clone_from(text);
    }
    if let (Some(content_type), Some((_, value))) = (&abort.content_type, reply.headers.first_mut())
    {
        value.clone_from(content_type);
    }
    let headers = abort.headers.iter();
    reply
        .headers
        .extend(headers.map(|(name, value)| (name.as_str().to_owned(), value.clone())));
    reply
}

#[cfg(test)]
mod tests;
