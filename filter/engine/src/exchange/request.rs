//! The request's way through: who governs, the delay, the abort, the
//! rate limits. The body is in `body`.

use std::sync::Arc;

use super::{Exchange, Phase};
use crate::action::{Action, Flow, Reply, Response};
use crate::fault::End;
use crate::grpc::reply_format::Form;
use crate::host::Host;
use crate::look::Look;
use crate::plan::{Plan, PolicyPlan};
use crate::rate_limit::{Pass, Till, Verdict};
use crate::shared::quota::Answer;
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
        if std::mem::replace(&mut self.begun, true) {
            return self.request_body(plan, worker, host, (0, end), out);
        }
        if plan.is_upstream() {
            let flow = self.begin_try(host, out);
            if flow != Flow::Continue {
                return flow;
            }
        }
        let flow = self.take_up(plan, worker, host, end, out);
        self.release(flow, plan, worker, host, out)
    }

    fn take_up<H: Host>(
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
        let (look, seen) = Look::at(policy, worker, host, place.route, end);
        self.look = look;
        if let (Some(buffering), false) = (&policy.buffering, end) {
            let intake = buffering.intake(self.look.body, self.look.grpc);
            self.intake = intake.map(Box::new);
        }
        let Some(fault) = &policy.fault else {
            return self.limit(plan, policy, worker, host, out);
        };
        let verdict = fault.decide(&seen, host, out);
        if let Some(nanos) = verdict.delay {
            return self.delay(plan, policy, (nanos, verdict.end), worker, host, out);
        }
        self.after_delay(plan, policy, verdict.end, worker, host, out)
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
        if matches!(self.phase, Phase::Hedged) {
            return self.try_again(host, out);
        }
        let flow = self.wake(plan, worker, host, out);
        self.release(flow, plan, worker, host, out)
    }

    fn wake<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        let Some(until) = self.phase.waits_until() else {
            return self.body_timer(policy, worker, host, out);
        };
        if host.now_ns() < until {
            return self.hold(until, out);
        }
        let phase = std::mem::take(&mut self.phase);
        let Phase::Delayed { end, .. } = phase else {
            return self.admit_body(policy, worker, host, out);
        };
        self.leave_place(policy, worker, host, out);
        self.after_delay(plan, policy, end, worker, host, out)
    }

    /// The exchange is over, however it ended. What comes after that changes
    /// nothing.
    pub fn done<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) {
        if let Some(policy) = plan.policy(self.policy) {
            self.leave_place(policy, worker, host, out);
            self.drop_body(policy, worker, host, out);
        }
        for place in std::mem::take(&mut self.places) {
            worker.leave(plan.bounds(), place, host, out);
        }
        self.end_retries(host);
        self.begun = true;
        let _ = self.stop();
    }

    /// Gives back the place among those who wait, if there still is one.
    fn leave_place<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) {
        if let (true, Some(fault)) = (std::mem::take(&mut self.waits), &policy.fault) {
            let by = worker.holder.give_back(fault.held.active, 0, 1, host);
            out.extend(Action::adjust(fault.held.gauge, by));
        }
    }

    /// Holds the request, unless too many wait already: then nothing is
    /// injected at all.
    fn delay<H: Host>(
        &mut self,
        plan: &Plan,
        policy: &PolicyPlan,
        (nanos, end): (u64, Option<End>),
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let Some(held) = policy.fault.as_ref().map(|fault| fault.held) else {
            return self.after_delay(plan, policy, end, worker, host, out);
        };
        let until = host.now_ns().saturating_add(nanos);
        let change = worker.holder.take(held.active, 0, (1, 1), host, out);
        out.extend(Action::adjust(held.gauge, change.by));
        if change.answer != Answer::Granted {
            out.push(Action::Count(held.overflow));
            return self.after_delay(plan, policy, None, worker, host, out);
        }
        out.push(Action::Count(held.delays));
        self.phase = Phase::Delayed { until, end };
        self.waits = true;
        self.hold(until, out)
    }

    /// What comes after the delay: the abort, or the rate limits.
    fn after_delay<H: Host>(
        &mut self,
        plan: &Plan,
        policy: &PolicyPlan,
        end: Option<End>,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let (Some(end), Some(fault)) = (end, &policy.fault) else {
            return self.limit(plan, policy, worker, host, out);
        };
        if let End::Status(status) = end {
            self.rewrite = Some(status);
            return self.admit_body(policy, worker, host, out);
        }
        self.drop_body(policy, worker, host, out);
        out.push(Action::Count(fault.aborts));
        if let End::Reply(reply) = end {
            return self.reply(policy, &reply, host, out);
        }
        out.push(Action::Reset);
        self.stop()
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
            plan,
            worker,
            now_ns,
            host,
            out,
        };
        match limits.decide(&hits, &mut till) {
            Verdict::Pass(Pass {
                standing,
                wait_ns,
                places,
            }) => {
                self.standing = standing.map(Box::new);
                self.places = places;
                if wait_ns == 0 {
                    return self.admit_body(policy, worker, host, out);
                }
                let until = now_ns.saturating_add(wait_ns);
                self.phase = Phase::Queued { until };
                self.hold(until, out)
            }
            Verdict::Refuse(reply) => {
                self.drop_body(policy, worker, host, out);
                self.reply(policy, &reply, host, out)
            }
        }
    }

    /// Sends a reply of ours, overridden if the policy says so.
    #[inline(never)]
    pub(super) fn reply<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        reply: &Arc<Reply>,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let overrides = policy.overrides.as_ref();
        // The request has gone on only if its body is watched, and then the look
        // has seen its content type.
        let look = &self.look;
        let form = look.form.unwrap_or_else(|| Form::of_request(host));
        let replaced = overrides.and_then(|it| it.instead_of_reply(reply, form, look, host, out));
        out.push(match (replaced, form) {
            (None, Form::Http) => Action::Reply(Arc::clone(reply)),
            (replaced, form) => {
                let response = replaced.unwrap_or_else(|| Response::from(reply.as_ref()));
                Action::ReplyInstead(Box::new(form.tell(response)))
            }
        });
        self.stop()
    }

    /// What still comes of the request goes nowhere.
    pub(super) fn stop(&mut self) -> Flow {
        self.phase = Phase::Replied;
        self.discards = true;
        self.look.recall.release();
        Flow::Stop
    }
}
