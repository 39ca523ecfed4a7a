//! The request's body: limited as it comes, gathered where the policy says so.

use super::{Exchange, Phase};
use crate::action::{Action, Flow};
use crate::host::Host;
use crate::plan::{Plan, PolicyPlan};
use crate::request_buffer::{Buffering, Refusal};
use crate::shared::quota::Answer;
use crate::worker::Worker;

/// A held request whose body is not heard of for so long gets an error, as
/// long as this worker has not seen that the host shows such bodies at all.
const BLIND_NS: u64 = 30_000_000_000;

impl Exchange {
    /// Bytes of the request body arrived, or its end. `at_hand` is their
    /// number; while earlier ones are held, they are counted in.
    pub fn request_body<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        piece: (u64, bool),
        out: &mut Vec<Action>,
    ) -> Flow {
        if matches!(self.phase, Phase::Hedged) {
            return self.try_again(host, out);
        }
        let flow = self.take_in(plan, worker, host, piece, out);
        self.release(flow, plan, worker, host, out)
    }

    fn take_in<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        (at_hand, end): (u64, bool),
        out: &mut Vec<Action>,
    ) -> Flow {
        if self.discards {
            return Flow::Stop;
        }
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        let (Some(intake), Some(buffering)) = (&mut self.intake, &policy.buffering) else {
            return match self.phase.waits_until() {
                Some(until) => self.hold(until, out),
                None => Flow::Continue,
            };
        };
        worker.sees_held_bodies |= intake.gathers();
        if intake.take_in(at_hand, end).is_err() {
            return self.refuse_body(policy, &buffering.too_large, worker, host, out);
        }
        if let Err(full) = self.cover(buffering, worker, host, out) {
            return self.refuse_body(policy, full, worker, host, out);
        }
        self.go_on(policy, worker, host, out)
    }

    /// Request trailers arrived: the body is complete.
    pub fn request_trailers<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let nothing_more = (0, true);
        self.request_body(plan, worker, host, nothing_more, out)
    }

    /// What the wait ends with: the body is admitted, and gathered if the
    /// policy says so. Its time runs from here.
    pub(super) fn admit_body<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let (Some(intake), Some(buffering)) = (&mut self.intake, &policy.buffering) else {
            return Flow::Continue;
        };
        if intake.check_declared().is_err() {
            return self.refuse_body(policy, &buffering.too_large, worker, host, out);
        }
        if !intake.is_kept() {
            return Flow::Continue;
        }
        if intake.gathers() && self.look.body.expects_continue {
            return self.refuse_body(policy, &buffering.expectation, worker, host, out);
        }
        if intake.is_timed() {
            intake.begin(host.now_ns(), buffering.pace);
        }
        if let Err(full) = self.cover(buffering, worker, host, out) {
            return self.refuse_body(policy, full, worker, host, out);
        }
        self.set_wake(worker);
        self.go_on(policy, worker, host, out)
    }

    /// The time has come that a body which is gathered was to be looked at.
    pub(super) fn body_timer<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let (Some(intake), Some(buffering)) = (&self.intake, &policy.buffering) else {
            return Flow::Continue;
        };
        let is_held = intake.gathers();
        let now = host.now_ns();
        if intake.deadline().is_some_and(|deadline| deadline <= now) {
            return self.refuse_body(policy, &buffering.too_slow, worker, host, out);
        }
        let blind_at = self.blind_at(worker);
        if blind_at.is_some_and(|blind_at| blind_at <= now) {
            return self.refuse_body(policy, &buffering.blind, worker, host, out);
        }
        self.set_wake(worker);
        match self.go_on(policy, worker, host, out) {
            // It has gone on long ago.
            Flow::Continue if !is_held => Flow::HoldHeaders,
            flow => flow,
        }
    }

    /// How a request that has to wait until then is held: one whose body is
    /// gathered takes the body in meanwhile, so that nothing goes on when the
    /// wait ends before the body does.
    pub(super) fn hold(&self, until: u64, out: &mut Vec<Action>) -> Flow {
        let intake = self.intake.as_ref().filter(|intake| intake.gathers());
        out.push(Action::WakeAt(until));
        if intake.is_some() {
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
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) {
        const TOO_LARGE: u16 = 413;
        let Some(intake) = &mut self.intake else {
            return;
        };
        if let (Some(tunnel), Some(status)) = (self.look.body.tunnel, status)
            && tunnel.is_accepted_by(status)
        {
            return self.drop_body(policy, worker, host, out);
        }
        if !intake.gathers() {
            // The answer is there: how fast the rest comes keeps nobody
            // waiting, but how much still counts.
            return intake.stop_clock();
        }
        if let Some(buffering) = &policy.buffering
            && !intake.is_complete()
            && status == Some(TOO_LARGE)
        {
            out.push(Action::Count(buffering.overflow.counter));
            out.push(Action::Log(buffering.overflow.log.clone()));
        }
        self.drop_body(policy, worker, host, out);
        self.discards = true;
    }

    /// Ends the account of the body, and gives back what was taken for it.
    pub(super) fn drop_body<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) {
        let Some(intake) = self.intake.take() else {
            return;
        };
        let total = policy.buffering.as_ref().and_then(|it| it.total.as_ref());
        if let Some(total) = total.filter(|_| intake.held > 0) {
            let by = worker.holder.give_back(total.pool, 0, intake.held, host);
            out.extend(Action::adjust(total.gauge, by));
        }
    }

    /// Lets a body go on, unless it is gathered and more is to come, or the
    /// request waits for something else.
    fn go_on<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        if let Some(until) = self.phase.waits_until() {
            return self.hold(until, out);
        }
        let Some(intake) = &self.intake else {
            return Flow::Continue;
        };
        match (intake.gathers(), intake.is_complete()) {
            (true, true) => {
                out.extend(intake.undeclared_length().map(Action::SetRequestLength));
                self.drop_body(policy, worker, host, out);
                Flow::Continue
            }
            (true, false) => {
                out.extend(intake.wake_at.map(Action::WakeAt));
                Flow::HoldHeaders
            }
            (false, _) => {
                out.extend(intake.wake_at.map(Action::WakeAt));
                Flow::Continue
            }
        }
    }

    /// Takes from the pool what the body lacks, or says what refuses it.
    fn cover<'a, H: Host>(
        &mut self,
        buffering: &'a Buffering,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Result<(), &'a Refusal> {
        let (Some(intake), Some(total)) = (&mut self.intake, &buffering.total) else {
            return Ok(());
        };
        let lacks = intake.lacks();
        if lacks == 0 || !intake.is_kept() {
            return Ok(());
        }
        let amount = (lacks, lacks);
        let change = worker.holder.take(total.pool, 0, amount, host, out);
        out.extend(Action::adjust(total.gauge, change.by));
        if change.answer != Answer::Granted {
            return Err(&total.full);
        }
        intake.held = intake.held.saturating_add(lacks);
        Ok(())
    }

    /// When this exchange must be looked at again if nothing happens.
    fn set_wake(&mut self, worker: &Worker) {
        let blind_at = self.blind_at(worker);
        if let Some(intake) = &mut self.intake {
            let times = [intake.deadline(), blind_at];
            intake.wake_at = times.into_iter().flatten().min();
        }
    }

    /// When it must be assumed that the host does not show this body.
    fn blind_at(&self, worker: &Worker) -> Option<u64> {
        let intake = self.intake.as_ref()?;
        if !intake.gathers() || worker.sees_held_bodies || intake.heard {
            return None;
        }
        Some(intake.began()?.saturating_add(BLIND_NS))
    }

    fn refuse_body<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        refusal: &Refusal,
        worker: &mut Worker,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        self.drop_body(policy, worker, host, out);
        out.push(Action::Count(refusal.counter));
        out.extend(refusal.log.clone().map(Action::Log));
        if self.responding {
            out.push(Action::Reset);
            return self.stop();
        }
        self.reply(policy, &refusal.reply, host, out)
    }
}

#[cfg(test)]
mod tests;
