//! The response's way back: rate limit headers, overrides.

use super::{Exchange, Phase};
use crate::action::{Action, Flow};
use crate::host::Host;
use crate::plan::{Plan, PolicyPlan};
use crate::response_override::{Instead, response_status};
use crate::worker::Worker;

impl Exchange {
    /// Response headers arrived; `end` if there is no body and no trailers.
    pub fn response_headers<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Flow {
        let flow = self.answer(plan, worker, host, end, out);
        self.look.recall.release();
        flow
    }

    fn answer<H: Host>(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Flow {
        if std::mem::replace(&mut self.responding, true) {
            return Flow::Continue;
        }
        if plan.is_upstream() {
            self.try_answered(host, out);
        }
        // A filter before this one answered: the request will not come.
        self.begun = true;
        if !matches!(self.phase, Phase::Passing) {
            // A reply of the proxy's own has ended the wait (a timeout, say).
            let waits = matches!(self.phase, Phase::Hedged) || self.phase.waits_until().is_some();
            if !waits {
                return Flow::Continue;
            }
            self.phase = Phase::Passing;
        }
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        if let (Some(status), Some(fault)) = (self.rewrite.take(), &policy.fault) {
            out.push(Action::Count(fault.aborts));
            out.push(Action::SetResponseStatus(status));
        }
        if self.intake.is_some() {
            let status = response_status(host);
            self.answer_body(policy, status, worker, host, out);
        }
        // Overrides start from the headers as they came, so what retries have
        // to do with them comes last.
        let mut edits = Vec::new();
        let mut flow = self.settle(plan, host, &mut edits);
        if flow == Flow::Continue {
            flow = self.replace(policy, worker, host, end, out);
        }
        if flow == Flow::Stop {
            // Headers of a response that goes nowhere are left alone.
            edits.retain(|it| {
                !matches!(
                    it,
                    Action::SetResponseHeader(..) | Action::RemoveResponseHeader(_)
                )
            });
        }
        out.append(&mut edits);
        flow
    }

    fn replace<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        worker: &Worker,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Flow {
        let overrides = policy.overrides.as_ref();
        let limits = worker.value_limits();
        let instead =
            overrides.and_then(|it| it.instead_of_response(&self.look, limits, host, end, out));
        match instead {
            Some(Instead::Headers(headers)) => {
                out.push(Action::SetResponseHeaders(headers));
                self.tell_standing(out);
                Flow::Continue
            }
            Some(Instead::InPlace(headers, body)) => {
                out.push(Action::SetResponseHeaders(headers));
                let unwritten = Some(Box::new(body));
                self.phase = Phase::Replacing { unwritten };
                Flow::Continue
            }
            Some(Instead::Reply(response)) => {
                out.push(Action::ReplyInstead(Box::new(response)));
                self.stop()
            }
            None => {
                self.tell_standing(out);
                Flow::Continue
            }
        }
    }

    /// Adds the rate limit headers to a response whose body stays.
    fn tell_standing(&mut self, out: &mut Vec<Action>) {
        if let Some(standing) = self.standing.take() {
            standing.add_to_response(out);
        }
    }

    /// Bytes of the response body arrived.
    pub fn response_body(&mut self, out: &mut Vec<Action>) -> Flow {
        if let Phase::Replacing { unwritten } = &mut self.phase {
            let body = unwritten.take().map(|body| body.into_bytes());
            out.push(Action::ReplaceBody(body.unwrap_or_default()));
        }
        Flow::Continue
    }

    /// Response trailers arrived.
    pub fn response_trailers(&mut self, out: &mut Vec<Action>) -> Flow {
        if matches!(self.phase, Phase::Replacing { .. }) {
            out.push(Action::DropTrailers);
        }
        Flow::Continue
    }
}
