//! The request's body: limited as it comes, gathered where the policy says so.

use super::{Exchange, Phase};
use crate::action::{Action, Flow};
use crate::plan::{Plan, PolicyPlan};
use crate::request_buffer::Refusal;

impl Exchange {
    /// Bytes of the request body arrived, or its end. `at_hand` is their
    /// number; while earlier ones are held, they are counted in.
    pub fn request_body(
        &mut self,
        plan: &Plan,
        at_hand: u64,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Flow {
        let Some(intake) = &mut self.intake else {
            return self.flow_of_a_free_body();
        };
        let taken_in = intake.take_in(at_hand, end);
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        match (taken_in, &policy.buffering) {
            (Err(_), Some(buffering)) => self.refuse_body(policy, buffering.too_large(), out),
            _ => self.go_on(out),
        }
    }

    /// Request trailers arrived: the body is complete.
    pub fn request_trailers(&mut self, out: &mut Vec<Action>) -> Flow {
        let Some(intake) = &mut self.intake else {
            return self.flow_of_a_free_body();
        };
        // Nothing came, so that no limit is passed.
        let _ = intake.take_in(0, true);
        self.go_on(out)
    }

    /// What the wait ends with: the body is admitted, and gathered if the
    /// policy says so.
    pub(super) fn admit_body(&mut self, policy: &PolicyPlan, out: &mut Vec<Action>) -> Flow {
        let (Some(intake), Some(buffering)) = (&self.intake, &policy.buffering) else {
            return Flow::Continue;
        };
        if intake.check_declared().is_err() {
            return self.refuse_body(policy, buffering.too_large(), out);
        }
        if intake.gathers() && self.look.body.expects_continue {
            return self.refuse_body(policy, buffering.expectation(), out);
        }
        self.go_on(out)
    }

    /// How a request that has to wait is held: one whose body is gathered
    /// takes the body in meanwhile, so that nothing goes on when the wait ends
    /// before the body does.
    pub(super) fn hold(&self) -> Flow {
        match &self.intake {
            Some(intake) if intake.gathers() => Flow::HoldHeaders,
            _ => Flow::HoldAll,
        }
    }

    /// A response came before the request went on: the proxy has made it
    /// itself, and the body is not wanted any more.
    pub(super) fn abandon_body(
        &mut self,
        policy: &PolicyPlan,
        status: Option<u16>,
        out: &mut Vec<Action>,
    ) {
        const TOO_LARGE: u16 = 413;
        let Some(intake) = self.intake.take_if(|intake| intake.gathers()) else {
            return;
        };
        self.discards = true;
        if let Some(buffering) = &policy.buffering
            && !intake.is_complete()
            && status == Some(TOO_LARGE)
        {
            let overflow = buffering.overflow();
            out.push(Action::Count(overflow.counter));
            out.push(Action::Log(overflow.log.clone()));
        }
    }

    /// Lets a body go on, unless it is gathered and more is to come, or the
    /// request waits for something else.
    fn go_on(&mut self, out: &mut Vec<Action>) -> Flow {
        if let Phase::Delayed { until } = self.phase {
            out.push(Action::WakeAt(until));
            return self.hold();
        }
        let Some(intake) = self
            .intake
            .take_if(|intake| intake.is_complete() || !intake.gathers())
        else {
            return Flow::HoldHeaders;
        };
        if intake.gathers() {
            out.extend(intake.undeclared_length().map(Action::SetRequestLength));
        } else if !intake.is_complete() {
            self.intake = Some(intake);
        }
        Flow::Continue
    }

    /// A body that is not watched goes on; what is left of a refused one
    /// does not.
    fn flow_of_a_free_body(&self) -> Flow {
        if self.discards {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }

    fn refuse_body(
        &mut self,
        policy: &PolicyPlan,
        refusal: &Refusal,
        out: &mut Vec<Action>,
    ) -> Flow {
        out.push(Action::Count(refusal.counter));
        out.extend(refusal.log.clone().map(Action::Log));
        if self.responding {
            self.intake = None;
            self.discards = true;
            out.push(Action::Reset);
            return Flow::Stop;
        }
        self.reply(policy, &refusal.reply, out)
    }
}
