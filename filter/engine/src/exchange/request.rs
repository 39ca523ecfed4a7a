//! The request phase: its policy, the delay, the abort, the rate limits. The body is in
//! `body`.

use std::sync::Arc;

use super::state::{RequestState, ResponseState};
use super::{Context, Exchange, RequestFacts};
use crate::action::{Action, Flow, Reply, Response};
use crate::decision::{Decided, Value};
use crate::fault::AbortOutcome;
use crate::grpc::reply_format::ReplyFormat;
use crate::host::Host;
use crate::plan::PolicyPlan;
use crate::rate_limit::{Pass, Verdict};
use crate::shared::quota::ClaimOutcome;

impl Exchange {
    /// Request headers arrived; `end` if there is no body and no trailers.
    pub fn request_headers<H: Host>(&mut self, cx: &mut Context<'_, H>, end: bool) -> Flow {
        if !matches!(self.request, RequestState::New) {
            return self.request_body(cx, 0, end);
        }
        if cx.plan.is_upstream() {
            let flow = self.begin_attempt(cx);
            if flow != Flow::Continue {
                return flow;
            }
        }
        let flow = self.take_up(cx, end);
        self.forward(flow, cx)
    }

    /// The time that [`Exchange::wakes_at`] gave has come, or an earlier one. The
    /// flow is that of the request.
    pub fn timer<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        match self.request {
            RequestState::New => self.pass_unseen(),
            RequestState::AwaitingCredit { .. } => self.ask_again(cx),
            _ => {
                let flow = self.wake(cx);
                self.forward(flow, cx)
            }
        }
    }

    /// The exchange is over, however it ended, be it in the middle of an event: what
    /// it holds it has until it is given back. What comes after that changes nothing.
    pub fn done<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        self.end_unanswered(cx);
        if let Some(policy) = cx.plan.policy(self.policy) {
            self.end_delay(policy, cx);
            self.drop_body(policy, cx);
            if let (Some(limits), 1..) = (&policy.limits, self.paid) {
                let mut limiter = cx.worker.limiter(cx.plan, &mut cx.event);
                limits.give_back(&self.facts.limits, &mut self.paid, &mut limiter);
            }
        }
        if !self.in_flight.is_empty() {
            let mut limiter = cx.worker.limiter(cx.plan, &mut cx.event);
            limiter.release_all(&mut self.in_flight);
        }
        self.end_retries(cx);
        let _ = self.stop();
    }

    /// Something came before the headers, which cannot be: a request that has
    /// no policy passes.
    pub(super) fn pass_unseen(&mut self) -> Flow {
        self.request = RequestState::Passing;
        Flow::Continue
    }

    /// Finds the policy of a request that has just come, and applies it.
    fn take_up<H: Host>(&mut self, cx: &mut Context<'_, H>, end: bool) -> Flow {
        self.continue_redirected(cx);
        let place = cx.worker.place(cx.plan, cx.event.host);
        self.policy = place.policy;
        if cx.plan.asks_for_service(self.policy) {
            self.service = cx.worker.service(cx.plan, cx.event.host);
            let service = cx.plan.service(self.service);
            self.policy = self.policy.or(service.map(|it| it.policy));
        }
        let Some(policy) = cx.plan.policy(self.policy) else {
            return Flow::Continue;
        };
        let (facts, inputs) = RequestFacts::collect(policy, cx, place.route, end);
        self.facts = facts;
        if let (Some(buffering), false) = (&policy.buffering, end) {
            let progress = buffering.progress(self.facts.body, self.facts.grpc);
            self.body = progress.map(Box::new);
        }
        let before = self.counted_before.as_ref();
        let is_sampled = before.is_some_and(|before| before.has_sampled(self.policy));
        let Some(fault) = policy.fault.as_ref().filter(|_| !is_sampled) else {
            return self.limit(policy, cx);
        };
        self.facts.is_sampled = !cx.plan.is_upstream();
        let verdict = fault.decide(&inputs, &mut cx.event);
        match verdict.delay {
            Some(nanos) => self.delay(policy, nanos, verdict.abort, cx),
            None => self.after_delay(policy, verdict.abort, cx),
        }
    }

    /// The time has come for which the exchange has asked, or another.
    fn wake<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        let Some(policy) = cx.plan.policy(self.policy) else {
            return Flow::Continue;
        };
        let Some(until) = self.request.waits_until() else {
            return self.body_timer(policy, cx);
        };
        if cx.event.now_ns() < until {
            return self.hold();
        }
        match std::mem::take(&mut self.request) {
            RequestState::Delayed { abort, .. } => {
                self.end_delay(policy, cx);
                self.after_delay(policy, abort, cx)
            }
            // The tokens were taken when it began to wait.
            _ => self.admit_body(policy, cx),
        }
    }

    /// Holds the request, unless too many are delayed already: then nothing is
    /// injected at all.
    fn delay<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        nanos: u64,
        abort: Option<AbortOutcome>,
        cx: &mut Context<'_, H>,
    ) -> Flow {
        let Some(delayed) = policy.fault.as_ref().map(|fault| fault.delayed) else {
            return self.after_delay(policy, abort, cx);
        };
        let until = cx.event.now_ns().saturating_add(nanos);
        let claims = &mut cx.worker.claims;
        let change = claims.take(delayed.quota, 0, (1, 1), &mut cx.event);
        cx.event.adjust(delayed.gauge, change.by);
        if change.outcome != ClaimOutcome::Granted {
            cx.event.count(delayed.overflow);
            return self.after_delay(policy, None, cx);
        }
        let value = Value::Nanos(nanos);
        cx.event.decided(delayed.delays, Decided::Delayed, value);
        cx.event.record_ms(delayed.delay_ms, nanos);
        self.request = RequestState::Delayed { until, abort };
        self.is_delayed = true;
        self.hold()
    }

    /// The request does not count as delayed any more.
    fn end_delay<H: Host>(&mut self, policy: &PolicyPlan, cx: &mut Context<'_, H>) {
        if let (true, Some(fault)) = (self.is_delayed, &policy.fault) {
            let claims = &mut cx.worker.claims;
            let by = claims.give_back(fault.delayed.quota, 0, 1, cx.event.host);
            cx.event.adjust(fault.delayed.gauge, by);
        }
        self.is_delayed = false;
    }

    /// What comes after the delay: the abort, or the rate limits.
    fn after_delay<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        abort: Option<AbortOutcome>,
        cx: &mut Context<'_, H>,
    ) -> Flow {
        let (Some(abort), Some(fault)) = (abort, &policy.fault) else {
            return self.limit(policy, cx);
        };
        if let AbortOutcome::Status(status) = abort {
            // Its response is changed when it comes; until then nothing is.
            self.response = ResponseState::Awaited {
                status: Some(status),
            };
            return self.admit_body(policy, cx);
        }
        self.drop_body(policy, cx);
        let value = match &abort {
            AbortOutcome::Reply(reply) => Value::Status(reply.status),
            _ => Value::Reset,
        };
        cx.event.decided(fault.aborts, Decided::Aborted, value);
        if let AbortOutcome::Reply(reply) = abort {
            return self.reply(policy, &reply, cx);
        }
        cx.event.out.push(Action::Reset);
        self.stop()
    }

    /// The rate limits that count this request, and then its body.
    fn limit<H: Host>(&mut self, policy: &PolicyPlan, cx: &mut Context<'_, H>) -> Flow {
        let matched = &mut self.facts.limits;
        if let Some(before) = &self.counted_before {
            before.mark(matched);
        }
        let limits = policy.limits.as_ref().filter(|_| !matched.is_empty());
        let verdict = limits.map(|limits| {
            if let Some(reply) = limits.missing_key(matched, &mut cx.event) {
                return Verdict::Refuse(reply);
            }
            let limiter = &mut cx.worker.limiter(cx.plan, &mut cx.event);
            limits.decide(matched, &mut self.in_flight, &mut self.paid, limiter)
        });
        // Which ones have counted it matters if Envoy begins it anew.
        if cx.plan.is_upstream() || !matches!(verdict, Some(Verdict::Pass(_))) {
            cx.worker.keep_room(&mut self.facts.limits);
        }
        match verdict {
            None => {
                self.limit_headers = self.own_or_earlier(None);
                self.admit_body(policy, cx)
            }
            Some(Verdict::Pass(Pass { headers, wait_ns })) => {
                self.limit_headers = self.own_or_earlier(headers);
                if wait_ns == 0 {
                    return self.admit_body(policy, cx);
                }
                let until = cx.event.now_ns().saturating_add(wait_ns);
                self.request = RequestState::Queued { until };
                self.hold()
            }
            Some(Verdict::Refuse(reply)) => {
                self.drop_body(policy, cx);
                self.reply(policy, &reply, cx)
            }
        }
    }

    /// Sends a reply of ours, overridden if the policy says so.
    #[inline(never)]
    pub(super) fn reply<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        reply: &Arc<Reply>,
        cx: &mut Context<'_, H>,
    ) -> Flow {
        let event = &mut cx.event;
        // The request has gone on only if its body is watched, and then its
        // content type has been seen.
        let format = self.facts.format;
        let format = format.unwrap_or_else(|| ReplyFormat::of_request(event.host));
        let overrides = policy.overrides.as_ref();
        let client = self.facts.recipient();
        let replaced = overrides.and_then(|it| it.instead_of_reply(reply, format, client, event));
        event.out.push(match (replaced, format) {
            (None, ReplyFormat::Http) => Action::Reply(Arc::clone(reply)),
            (replaced, format) => {
                let response = replaced.unwrap_or_else(|| Response::from(reply.as_ref()));
                Action::ReplyInstead(Box::new(format.encode(response)))
            }
        });
        self.stop()
    }

    /// There is an answer: what still comes of the request goes nowhere, and
    /// what comes as a response is left alone.
    pub(super) fn stop(&mut self) -> Flow {
        self.request = RequestState::Answered;
        self.response = ResponseState::Replied;
        self.facts.snapshot.release();
        Flow::Stop
    }
}
