//! Retries: what the router is told, and what the budget is told.

use super::{Exchange, Phase};
use crate::action::{Action, Flow, Response};
use crate::grpc::reply_format::Form;
use crate::host::Host;
use crate::plan::Plan;
use crate::retry::{Bound, RATE_LIMITED, Retries, SlotId, Try, refusal, seen};
use crate::worker::Worker;

/// What a response or an access log says when a retry was refused.
const REPORT: (&str, &str) = ("x-btp-retry-budget", "exhausted");
const PROPERTY: &str = "btp_retry_budget";
/// How often a hedge that waits asks again.
const PATIENCE_NS: u64 = 20_000_000;

/// A try as the upstream instance knows it.
#[derive(Debug)]
pub(super) struct Attempt {
    exchange: SlotId,
    number: u32,
    waits: bool,
}

/// The downstream instance.
impl Exchange {
    /// If the request goes on to the router now, the router gets its orders.
    /// The flow stays what it is.
    pub(super) fn release<H: Host>(
        &mut self,
        flow: Flow,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let policy = plan.policy(self.policy);
        let Some(retries) = policy.and_then(|policy| policy.retries.as_ref()) else {
            return flow;
        };
        let goes = flow == Flow::Continue && matches!(self.phase, Phase::Passing);
        if !goes || self.responding || std::mem::replace(&mut self.released, true) {
            return flow;
        }
        let own = if self.look.retry { None } else { Some(0) };
        let limit = match &retries.bound {
            Some(bound) => self.open(retries, bound, worker, host, out),
            None => own,
        };
        retries.instruct(limit, host, out);
        flow
    }

    /// Opens the exchange in the ledger; how many retries there may be.
    fn open<H: Host>(
        &mut self,
        retries: &Retries,
        bound: &Bound,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Option<u32> {
        let now = host.now_ns();
        let random = host.random();
        let budget = worker.budget(self.policy, bound, host, now);
        let opening = retries.opening(bound, budget, self.look.retry);
        let is_named = !opening.reserves;
        let opened = host.with_ledger(|ledger, host| ledger.open(opening, random, host, now));
        let Some(opened) = opened else {
            return Some(0);
        };
        self.opened = Some(opened.id);
        if is_named {
            out.push(Action::NameExchange(opened.id.to_bytes()));
        }
        opened.limit
    }

    /// The final response begins; the flow is that of the response.
    pub(super) fn settle<H: Host>(
        &mut self,
        plan: &Plan,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let Some(id) = self.opened else {
            return Flow::Continue;
        };
        let now = host.now_ns();
        let settled = host.with_ledger(|ledger, host| ledger.settle(id, true, host, now));
        let policy = plan.policy(self.policy);
        let bound = policy
            .and_then(|policy| policy.retries.as_ref())
            .and_then(|retries| retries.bound.as_ref());
        let (Some(policy), Some(bound)) = (policy, bound) else {
            return Flow::Continue;
        };
        if settled.gate_is_missing {
            out.push(Action::Log(bound.reserve_mode().into()));
        }
        if settled.marked {
            out.push(Action::RemoveResponseHeader(RATE_LIMITED));
        }
        if !settled.refused {
            return Flow::Continue;
        }
        out.push(Action::SetProperty(PROPERTY, REPORT.1));
        if let Some(reply) = &bound.reply {
            return self.reply(policy, reply, host, out);
        }
        if bound.reports {
            out.push(Action::SetResponseHeader(REPORT.0, REPORT.1));
        }
        Flow::Continue
    }

    /// The exchange is over.
    pub(super) fn end_retries<H: Host>(&mut self, host: &mut H) {
        if let Some(id) = self.opened.take() {
            let now = host.now_ns();
            host.with_ledger(|ledger, host| {
                let _ = ledger.settle(id, false, host, now);
                ledger.close(id, host);
            });
        }
        if let Some(attempt) = self.attempt.take() {
            host.with_ledger(|ledger, _| ledger.end_try(attempt.exchange, attempt.waits));
        }
    }
}

/// The upstream instance, which sees each try.
impl Exchange {
    pub(super) fn begin_try<H: Host>(&mut self, host: &mut H, out: &mut Vec<Action>) -> Flow {
        let id = host.exchange_name(|name| SlotId::from_bytes(name?));
        let Some(id) = id else {
            return Flow::Continue;
        };
        let now = host.now_ns();
        let begun = host.with_ledger(|ledger, host| ledger.begin_try(id, host, now));
        let Some((number, verdict)) = begun else {
            // Its account has died with the VM that kept it: nobody can say
            // that there is credit.
            return match host.attempt() {
                Some(2..) => self.obey(Try::Refused, now, host, out),
                _ => Flow::Continue,
            };
        };
        self.attempt = Some(Attempt {
            exchange: id,
            number,
            waits: false,
        });
        self.obey(verdict, now, host, out)
    }

    /// A hedge that waits asks again.
    pub(super) fn try_again<H: Host>(&mut self, host: &mut H, out: &mut Vec<Action>) -> Flow {
        let Some(attempt) = &self.attempt else {
            return Flow::Continue;
        };
        let (id, now) = (attempt.exchange, host.now_ns());
        let verdict = host.with_ledger(|ledger, host| ledger.try_again(id, host, now));
        self.obey(verdict, now, host, out)
    }

    fn obey<H: Host>(
        &mut self,
        verdict: Try,
        now: u64,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        self.phase = Phase::Passing;
        if let Some(attempt) = &mut self.attempt {
            attempt.waits = verdict == Try::Waits;
        }
        match verdict {
            Try::Goes => Flow::Continue,
            Try::Waits => {
                out.push(Action::WakeAt(now.saturating_add(PATIENCE_NS)));
                self.phase = Phase::Hedged;
                Flow::HoldAll
            }
            Try::Refused => {
                // It never went, so nothing of it is live.
                self.attempt = None;
                let reply = Form::of_request(host).tell(Response::from(&refusal()));
                out.push(Action::ReplyInstead(Box::new(reply)));
                self.phase = Phase::Replied;
                Flow::Stop
            }
        }
    }

    /// The response to this try arrived.
    pub(super) fn try_answered<H: Host>(&mut self, host: &mut H, out: &mut Vec<Action>) {
        let Some(attempt) = &self.attempt else {
            return;
        };
        let (id, number) = (attempt.exchange, attempt.number);
        let Some(seen) = seen(host) else {
            return;
        };
        let now = host.now_ns();
        let marks = host.with_ledger(|ledger, host| ledger.answered(id, number, seen, host, now));
        if marks {
            out.push(Action::SetResponseHeader(RATE_LIMITED, "true"));
        }
    }
}
