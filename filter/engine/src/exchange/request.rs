//! The request's way through: who governs, the delay, the abort, the
//! rate limits. The body is in `body`.

use std::sync::Arc;

use super::{Exchange, Phase, Wait};
use crate::action::{Action, Flow, Reply};
use crate::fault::Fault;
use crate::host::Host;
use crate::look::Look;
use crate::plan::{Plan, PolicyPlan};
use crate::rate_limit::{Till, Verdict};
use crate::worker::Worker;

impl Exchange {
    /// Request headers arrived; `end` if there is no body and no trailers.
    pub fn request_headers<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Flow {
        let place = worker.place(plan, host);
        self.policy = place.policy;
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        self.look = Look::at(policy, worker, host, place.route, end);
        if let (Some(buffering), false) = (&policy.buffering, end) {
            self.intake = buffering.intake(self.look.body, self.look.grpc);
        }
        let delay = self.fault(policy).and_then(|fault| fault.draw_delay(host));
        if let Some((nanos, counter)) = delay {
            let until = host.now_ns().saturating_add(nanos);
            out.push(Action::Count(counter));
            let why = Wait::Fault;
            self.phase = Phase::Delayed { until, why };
            return self.hold(until, out);
        }
        self.after_delay(plan, policy, worker, host, out)
    }

    /// The time asked for by [`Action::WakeAt`] has come. The flow is that of
    /// the request.
    pub fn timer<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        let Phase::Delayed { until, why } = self.phase else {
            return self.body_timer(policy, worker, host, out);
        };
        if host.now_ns() < until {
            self.beat(policy, host);
            return self.hold(until, out);
        }
        self.phase = Phase::Passing;
        match why {
            Wait::Fault => self.after_delay(plan, policy, worker, host, out),
            Wait::Tokens => self.admit_body(policy, worker, host, out),
        }
    }

    /// The exchange is over, however it ended. Comes last, and once.
    pub fn done<H: Host>(&mut self, plan: &Plan, host: &mut H, out: &mut Vec<Action>) {
        if let Some(policy) = plan.policy(self.policy) {
            self.drop_body(policy, host, out);
        }
    }

    /// What comes after the delay: the abort, drawn independently; then the
    /// rate limits.
    fn after_delay<H: Host>(
        &mut self,
        plan: &Plan,
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let abort = self.fault(policy).and_then(|fault| fault.draw_abort(host));
        if let Some((reply, counter)) = abort {
            self.drop_body(policy, host, out);
            out.push(Action::Count(counter));
            return self.reply(policy, reply, out);
        }
        self.limit(plan, policy, worker, host, out)
    }

    /// The rate limits that count this request, and then its body.
    fn limit<H: Host>(
        &mut self,
        plan: &Plan,
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let hits = std::mem::take(&mut self.look.limits);
        let Some(limits) = policy.limits.as_ref().filter(|_| !hits.is_empty()) else {
            return self.admit_body(policy, worker, host, out);
        };
        let now_ns = host.now_ns();
        let mut till = Till {
            limits: plan.limits(),
            leases: &mut worker.leases,
            now_ns,
            host,
            out,
        };
        match limits.decide(&hits, &mut till) {
            Verdict::Pass(standing, wait_ns) => {
                self.standing = standing;
                if wait_ns > 0 {
                    let until = now_ns.saturating_add(wait_ns);
                    let why = Wait::Tokens;
                    self.phase = Phase::Delayed { until, why };
                    return self.hold(until, out);
                }
                self.admit_body(policy, worker, host, out)
            }
            Verdict::Refuse(reply) => {
                self.drop_body(policy, host, out);
                self.reply(policy, &reply, out)
            }
        }
    }

    fn fault<'a>(&self, policy: &'a PolicyPlan) -> Option<&'a Fault> {
        policy.fault.as_ref().filter(|_| self.look.fault)
    }

    /// Sends a reply of ours, overridden if the policy says so. A gRPC client
    /// sees any local reply with HTTP status 200, and so do the overrides.
    pub(super) fn reply(
        &mut self,
        policy: &PolicyPlan,
        reply: &Arc<Reply>,
        out: &mut Vec<Action>,
    ) -> Flow {
        let status = if self.look.grpc { 200 } else { reply.status };
        let overrides = policy.overrides.as_ref();
        let replaced = overrides.and_then(|rules| {
            let replacement = rules.replacement_for(reply, status)?;
            out.push(Action::Count(rules.counter()));
            Some(replacement)
        });
        out.push(Action::Reply(replaced.unwrap_or_else(|| Arc::clone(reply))));
        self.phase = Phase::Replied;
        self.discards = true;
        Flow::Stop
    }
}
