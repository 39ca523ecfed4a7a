//! The response's way back: overrides.

use std::sync::Arc;

use super::{Exchange, Phase};
use crate::action::{Action, Flow};
use crate::host::Host;
use crate::plan::Plan;
use crate::response_override::{Means, means, response_status};

impl Exchange {
    /// Response headers arrived; `end` if there is no body and no trailers.
    pub fn response_headers<H: Host>(
        &mut self,
        plan: &Plan,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Flow {
        if plan.is_upstream() {
            self.try_answered(host, out);
            return Flow::Continue;
        }
        self.responding = true;
        if !matches!(self.phase, Phase::Passing) {
            // A reply of the proxy's own has ended the wait (a timeout, say).
            if !matches!(self.phase, Phase::Delayed { .. }) {
                return Flow::Continue;
            }
            self.phase = Phase::Passing;
        }
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        if self.intake.is_some() {
            let status = response_status(host);
            self.abandon_body(policy, status, host, out);
        }
        if self.settle(plan, host, out) == Flow::Stop {
            return Flow::Stop;
        }
        let Some(overrides) = &policy.overrides else {
            return Flow::Continue;
        };
        let Some(reply) = response_status(host).and_then(|status| overrides.replacement(status))
        else {
            return Flow::Continue;
        };
        out.push(Action::Count(overrides.counter()));
        match means(host, &reply, end, self.look.grpc) {
            Means::InPlace => {
                out.push(Action::ReplaceResponseHeaders(Arc::clone(&reply)));
                self.phase = Phase::Replacing {
                    unwritten: Some(reply),
                };
                Flow::Continue
            }
            Means::LocalReply => {
                out.push(Action::Reply(reply));
                self.phase = Phase::Replied;
                Flow::Stop
            }
        }
    }

    /// Bytes of the response body arrived.
    pub fn response_body(&mut self, out: &mut Vec<Action>) -> Flow {
        if let Phase::Replacing { unwritten } = &mut self.phase {
            out.push(Action::ReplaceBody(unwritten.take()));
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
