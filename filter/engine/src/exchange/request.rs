//! The request's way through: who governs, the delay, the abort.

use std::sync::Arc;

use super::{Exchange, Phase};
use crate::action::{Action, Flow, Reply};
use crate::fault::{End, Fault, Verdict};
use crate::host::Host;
use crate::look::Look;
use crate::plan::{Plan, PolicyPlan};
use crate::worker::Worker;

impl Exchange {
    /// Request headers arrived.
    pub fn request_headers<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        self.policy = worker.governing(plan.attachments(), host);
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        let (look, seen) = Look::at(policy, host);
        self.look = look;
        let Some(fault) = &policy.fault else {
            return Flow::Continue;
        };
        match fault.decide(&seen, host, out) {
            Verdict {
                delay: Some(nanos),
                end,
            } => self.delay(fault, (nanos, end), worker, host, out),
            Verdict { delay: None, end } => self.after_delay(policy, end, out),
        }
    }

    /// The time asked for by [`Action::WakeAt`] has come. The flow is that of
    /// the request.
    pub fn timer<H: Host>(&mut self, plan: &Plan, host: &mut H, out: &mut Vec<Action>) -> Flow {
        let Phase::Delayed { until, .. } = self.phase else {
            return Flow::Continue;
        };
        if host.now_ns() < until {
            out.push(Action::WakeAt(until));
            return Flow::HoldAll;
        }
        let end = self.end_wait(plan, host, out);
        match plan.policy(self.policy) {
            Some(policy) => self.after_delay(policy, end, out),
            None => Flow::Continue,
        }
    }

    /// The exchange is over, however it ended. Comes last, and once.
    pub fn done<H: Host>(&mut self, plan: &Plan, host: &mut H, out: &mut Vec<Action>) {
        let _ = self.end_wait(plan, host, out);
    }

    /// Gives back what a waiting request held; what should become of it then.
    pub(super) fn end_wait<H: Host>(
        &mut self,
        plan: &Plan,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Option<End> {
        if !matches!(self.phase, Phase::Delayed { .. }) {
            return None;
        }
        let Phase::Delayed { worker, end, .. } = std::mem::take(&mut self.phase) else {
            return None;
        };
        let fault = plan.policy(self.policy)?.fault.as_ref()?;
        let change = fault.held.active.leave(host, worker);
        if change.by != 0 {
            out.push(Action::Adjust(fault.held.gauge, change.by));
        }
        end
    }

    /// Holds the request, unless too many wait already: then nothing is
    /// injected at all.
    fn delay<H: Host>(
        &mut self,
        fault: &Fault,
        (nanos, end): (u64, Option<End>),
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let held = &fault.held;
        let (now, worker) = (host.now_ns(), worker.id(host));
        let until = now.saturating_add(nanos);
        let change = held.active.enter(host, worker, now, until);
        if change.by != 0 {
            out.push(Action::Adjust(held.gauge, change.by));
        }
        if !change.granted {
            out.push(Action::Count(held.overflow));
            return Flow::Continue;
        }
        out.push(Action::Count(held.delays));
        out.push(Action::WakeAt(until));
        self.phase = Phase::Delayed { until, worker, end };
        Flow::HoldAll
    }

    /// What comes after the delay.
    fn after_delay(
        &mut self,
        policy: &PolicyPlan,
        end: Option<End>,
        out: &mut Vec<Action>,
    ) -> Flow {
        let (Some(end), Some(fault)) = (end, &policy.fault) else {
            return Flow::Continue;
        };
        out.push(Action::Count(fault.aborts));
        match end {
            End::Reply(reply) => self.reply(policy, &reply, out),
            End::Reset => {
                out.push(Action::Reset);
                self.phase = Phase::Replied;
                Flow::Stop
            }
        }
    }

    /// Sends a reply of ours, overridden if the policy says so. A gRPC client
    /// sees any local reply with HTTP status 200, and so do the overrides.
    fn reply(&mut self, policy: &PolicyPlan, reply: &Arc<Reply>, out: &mut Vec<Action>) -> Flow {
        let status = if self.look.grpc { 200 } else { reply.status };
        let overrides = policy.overrides.as_ref();
        let replaced = overrides.and_then(|rules| {
            let replacement = rules.replacement_for(reply, status)?;
            out.push(Action::Count(rules.counter()));
            Some(replacement)
        });
        out.push(Action::Reply(replaced.unwrap_or_else(|| Arc::clone(reply))));
        self.phase = Phase::Replied;
        Flow::Stop
    }
}
