//! The request's body: limited while it arrives, and buffered if the policy requires it.

use std::sync::Arc;

use super::state::RequestState;
use super::{Context, Exchange};
use crate::action::{Action, Flow, Reply};
use crate::decision::{Decided, Value};
use crate::host::Host;
use crate::plan::PolicyPlan;
use crate::request_buffer::{Buffering, Refusal};
use crate::shared::quota::ClaimOutcome;

impl Exchange {
    /// Bytes of the request body arrived, so many, or its end. Earlier ones that
    /// the host still holds are not counted again.
    pub fn request_body<H: Host>(
        &mut self,
        cx: &mut Context<'_, H>,
        received: u64,
        end: bool,
    ) -> Flow {
        match self.request {
            RequestState::New => self.pass_unseen(),
            RequestState::Answered => Flow::Stop,
            // The attempt is held as a whole: this is its end, at the earliest.
            RequestState::AwaitingCredit { .. } => self.ask_again(cx),
            _ => {
                let flow = self.receive(cx, received, end);
                self.forward(flow, cx)
            }
        }
    }

    /// Request trailers arrived: the body is complete.
    pub fn request_trailers<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        self.request_body(cx, 0, true)
    }

    /// The adapter cannot do what this request needs, whose headers wait for its
    /// body: the client gets this reply, unless the policy overrides it.
    pub fn refuse<H: Host>(&mut self, cx: &mut Context<'_, H>, reply: &Arc<Reply>) -> Flow {
        match cx.plan.policy(self.policy) {
            Some(policy) if self.awaited_body(cx.plan).is_some() => {
                if let Some(buffering) = &policy.buffering {
                    let counter = buffering.blind;
                    cx.event.decided(counter, Decided::BodyUnseen, Value::None);
                }
                self.drop_body(policy, cx);
                self.reply(policy, reply, cx)
            }
            _ => Flow::Continue,
        }
    }

    fn receive<H: Host>(&mut self, cx: &mut Context<'_, H>, received: u64, end: bool) -> Flow {
        let Some(policy) = cx.plan.policy(self.policy) else {
            return Flow::Continue;
        };
        let (Some(progress), Some(buffering)) = (&mut self.body, &policy.buffering) else {
            return match self.request.waits_until() {
                Some(_) => self.hold(),
                None => Flow::Continue,
            };
        };
        if progress.on_data(received, end).is_err() {
            return self.refuse_body(policy, &buffering.too_large, cx);
        }
        if let Err(full) = self.reserve(buffering, cx) {
            return self.refuse_body(policy, full, cx);
        }
        self.proceed(policy, cx)
    }

    /// What the wait ends with: the body is admitted, and buffered if the policy
    /// says so. Its clock starts here.
    pub(super) fn admit_body<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        cx: &mut Context<'_, H>,
    ) -> Flow {
        let (Some(progress), Some(buffering)) = (&mut self.body, &policy.buffering) else {
            return Flow::Continue;
        };
        if progress.check_declared().is_err() {
            return self.refuse_body(policy, &buffering.too_large, cx);
        }
        if !progress.is_kept_by_host() {
            return Flow::Continue;
        }
        if progress.buffers() && self.facts.body.expects_continue {
            return self.refuse_body(policy, &buffering.expectation, cx);
        }
        if progress.is_timed() {
            progress.start_clock(cx.event.now_ns(), buffering.timeouts);
        }
        if let Err(full) = self.reserve(buffering, cx) {
            return self.refuse_body(policy, full, cx);
        }
        self.proceed(policy, cx)
    }

    /// The time has come at which a body that is kept was to be looked at.
    pub(super) fn body_timer<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        cx: &mut Context<'_, H>,
    ) -> Flow {
        let (Some(progress), Some(buffering)) = (&mut self.body, &policy.buffering) else {
            return Flow::Continue;
        };
        let is_held = progress.buffers();
        if progress.is_late(cx.event.now_ns()) {
            return self.refuse_body(policy, &buffering.too_slow, cx);
        }
        match self.proceed(policy, cx) {
            // It has gone on long ago.
            Flow::Continue if !is_held => Flow::HoldHeaders,
            flow => flow,
        }
    }

    /// How a request that has to wait until then is held: one whose body is
    /// buffered takes the body in meanwhile, so that nothing goes on when the
    /// wait ends before the body does.
    pub(super) fn hold(&self) -> Flow {
        let progress = self.body.as_ref();
        if progress.is_some_and(|progress| progress.buffers()) {
            Flow::HoldHeaders
        } else {
            Flow::HoldAll
        }
    }

    /// A response came. If the request has not gone on, the proxy has made it
    /// itself, and the body is not wanted any more. If it accepts a tunnel,
    /// what comes from now on is no body.
    pub(super) fn answer_body<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        status: Option<u16>,
        cx: &mut Context<'_, H>,
    ) {
        const TOO_LARGE: u16 = 413;
        let Some(progress) = &mut self.body else {
            return;
        };
        if let (Some(tunnel), Some(status)) = (self.facts.body.tunnel, status)
            && tunnel.is_accepted_by(status)
        {
            return self.drop_body(policy, cx);
        }
        if !progress.buffers() {
            // The answer is there: how fast the rest comes keeps nobody
            // waiting, but how much still counts.
            return progress.stop_clock();
        }
        if let Some(buffering) = &policy.buffering
            && !progress.is_complete()
            && status == Some(TOO_LARGE)
        {
            let overflow = Decided::HostOverflow;
            cx.event
                .decided(buffering.overflow.counter, overflow, Value::None);
            cx.event.log(&buffering.overflow.log);
        }
        self.drop_body(policy, cx);
        self.request = RequestState::Answered;
    }

    /// Ends the account of the body, and gives back what was taken for it.
    pub(super) fn drop_body<H: Host>(&mut self, policy: &PolicyPlan, cx: &mut Context<'_, H>) {
        let Some(progress) = &self.body else {
            return;
        };
        let total = policy.buffering.as_ref().and_then(|it| it.total.as_ref());
        if let Some(total) = total.filter(|_| progress.reserved > 0) {
            let claims = &mut cx.worker.claims;
            let by = claims.give_back(total.quota, 0, progress.reserved, cx.event.host);
            cx.event.adjust(total.gauge, by);
        }
        self.body = None;
    }

    /// Lets a body go on, unless it is buffered and more is to come, or the
    /// request waits for something else.
    fn proceed<H: Host>(&mut self, policy: &PolicyPlan, cx: &mut Context<'_, H>) -> Flow {
        if self.request.waits_until().is_some() {
            return self.hold();
        }
        let Some(progress) = &self.body else {
            return Flow::Continue;
        };
        match (progress.buffers(), progress.is_complete()) {
            (true, true) => {
                let length = progress.undeclared_length();
                cx.event.out.extend(length.map(Action::SetRequestLength));
                self.drop_body(policy, cx);
                Flow::Continue
            }
            (true, false) => {
                self.request = RequestState::Buffering;
                Flow::HoldHeaders
            }
            (false, _) => Flow::Continue,
        }
    }

    /// Reserves what the body needs of the quota, or says what refuses it.
    fn reserve<'a, H: Host>(
        &mut self,
        buffering: &'a Buffering,
        cx: &mut Context<'_, H>,
    ) -> Result<(), &'a Refusal> {
        let (Some(progress), Some(total)) = (&mut self.body, &buffering.total) else {
            return Ok(());
        };
        let missing = progress.missing();
        if missing == 0 || !progress.is_kept_by_host() {
            return Ok(());
        }
        let amount = (missing, missing);
        let claims = &mut cx.worker.claims;
        let change = claims.take(total.quota, 0, amount, &mut cx.event);
        cx.event.adjust(total.gauge, change.by);
        if change.outcome != ClaimOutcome::Granted {
            return Err(&total.full);
        }
        progress.reserved = progress.reserved.saturating_add(missing);
        Ok(())
    }

    fn refuse_body<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        refusal: &Refusal,
        cx: &mut Context<'_, H>,
    ) -> Flow {
        self.drop_body(policy, cx);
        cx.event
            .decided(refusal.counter, refusal.decided, Value::None);
        if let Some(log) = &refusal.log {
            cx.event.log(log);
        }
        if self.response.has_begun() {
            cx.event.out.push(Action::Reset);
            return self.stop();
        }
        self.reply(policy, &refusal.reply, cx)
    }
}

#[cfg(test)]
mod tests;
