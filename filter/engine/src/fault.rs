//! Fault injection: which requests wait, which are answered with an error.

use std::sync::Arc;

use btp_policy::scalar::{HttpStatus, ObjectName, Ppm};
use btp_policy::spec::{Abort, AbortStatus, Delay, FaultInjection, Selector};

use crate::action::Reply;
use crate::counters::{CounterId, CounterNames};
use crate::draw::hits;
use crate::host::Host;
use crate::look::Needs;
use crate::request::Request;
use crate::select::meets_any;

/// `faultInjection`, compiled.
#[derive(Debug)]
pub(crate) struct Fault {
    matches: Vec<Selector>,
    delay: Option<PlannedDelay>,
    abort: Option<PlannedAbort>,
}

#[derive(Debug)]
struct PlannedDelay {
    share: Ppm,
    nanos: u64,
    counter: CounterId,
}

#[derive(Debug)]
struct PlannedAbort {
    share: Ppm,
    reply: Arc<Reply>,
    counter: CounterId,
}

/// `%RESPONSE_CODE_DETAILS%` of an aborted request.
const DETAILS: &str = "btp_fault_abort";

impl Fault {
    pub(crate) fn compile(
        policy: &ObjectName,
        fault: &FaultInjection,
        counters: &mut CounterNames,
    ) -> Self {
        let delay = fault.delay.map(|Delay { fixed, share }| PlannedDelay {
            share,
            nanos: fixed.as_nanos(),
            counter: counters.define(policy, "fault_delays_injected"),
        });
        let abort = fault.abort.map(|abort| PlannedAbort {
            share: abort.share,
            reply: Arc::new(abort_reply(abort)),
            counter: counters.define(policy, "fault_aborts_injected"),
        });
        Self {
            matches: fault.matches.clone(),
            delay,
            abort,
        }
    }

    /// What must be known of a request to say whether it is meant.
    pub(crate) fn needs(&self) -> Needs {
        Needs::of(&self.matches)
    }

    /// Whether a request is meant at all.
    pub(crate) fn is_for(&self, request: &Request<'_>) -> bool {
        meets_any(request, &self.matches)
    }

    /// Draws whether this request is delayed: for how long, and what counts
    /// it.
    pub(crate) fn draw_delay<H: Host>(&self, host: &mut H) -> Option<(u64, CounterId)> {
        let delay = self.delay.as_ref()?;
        hits(delay.share, || host.random()).then_some((delay.nanos, delay.counter))
    }

    /// Draws whether this request is aborted: with what, and what counts it.
    pub(crate) fn draw_abort<H: Host>(&self, host: &mut H) -> Option<(&Arc<Reply>, CounterId)> {
        let abort = self.abort.as_ref()?;
        hits(abort.share, || host.random()).then_some((&abort.reply, abort.counter))
    }
}

/// Envoy's fault filter answers a plain HTTP request with status 200 if only
/// a gRPC status is given; so do we.
fn abort_reply(abort: Abort) -> Reply {
    let (status, grpc_status) = match abort.status {
        AbortStatus::Http(status) => (status, None),
        AbortStatus::Grpc(code) => (HttpStatus::OK, Some(code)),
    };
    Reply {
        status: status.get(),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: "fault filter abort".to_owned(),
        grpc_status,
        details: DETAILS,
    }
}
