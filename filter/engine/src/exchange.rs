//! One HTTP exchange: a request, its response, and what happens in between.
//!
//! The adapter calls one method per event, in the order in which HTTP makes
//! them happen, and performs the actions it finds in `out` afterwards.

use std::sync::Arc;

use crate::action::{Action, Flow, Reply};
use crate::grpc::is_grpc_request;
use crate::host::Host;
use crate::plan::{Plan, PolicyPlan};
use crate::response_override::{Means, means, response_status};

/// The state of one exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    policy: Option<usize>,
    grpc: bool,
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing of ours is under way.
    #[default]
    Passing,
    /// The request waits until this time.
    Delayed { until: u64 },
    /// The client gets a reply of ours; what passes now is that reply, or
    /// what is left of the response in whose place it went.
    Replied,
    /// The response is being replaced as it passes. The reply is there until
    /// its body has been written.
    Replacing { unwritten: Option<Arc<Reply>> },
}

impl Exchange {
    /// Request headers arrived.
    pub fn request_headers<H: Host>(
        &mut self,
        plan: &Plan,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        self.policy = if plan.needs_route_name() {
            host.route_name(|name| plan.governing(name))
        } else {
            plan.governing(None)
        };
        let Some(policy) = plan.policy(self.policy) else {
            return Flow::Continue;
        };
        if policy.overrides.is_some() {
            self.grpc = is_grpc_request(host);
        }
        let delay = policy
            .fault
            .as_ref()
            .and_then(|fault| fault.draw_delay(host));
        if let Some((nanos, counter)) = delay {
            let until = host.now_ns().saturating_add(nanos);
            out.push(Action::Count(counter));
            out.push(Action::WakeAt(until));
            self.phase = Phase::Delayed { until };
            return Flow::HoldAll;
        }
        self.after_delay(policy, host, out)
    }

    /// The time asked for by [`Action::WakeAt`] has come. The flow is that of
    /// the request.
    pub fn timer<H: Host>(&mut self, plan: &Plan, host: &mut H, out: &mut Vec<Action>) -> Flow {
        let Phase::Delayed { until } = self.phase else {
            return Flow::Continue;
        };
        if host.now_ns() < until {
            out.push(Action::WakeAt(until));
            return Flow::HoldAll;
        }
        self.phase = Phase::Passing;
        match plan.policy(self.policy) {
            Some(policy) => self.after_delay(policy, host, out),
            None => Flow::Continue,
        }
    }

    /// Response headers arrived; `end` if there is no body and no trailers.
    pub fn response_headers<H: Host>(
        &mut self,
        plan: &Plan,
        host: &mut H,
        end: bool,
        out: &mut Vec<Action>,
    ) -> Flow {
        if !matches!(self.phase, Phase::Passing) {
            // A reply of the proxy's own has ended the wait (a timeout, say).
            if !matches!(self.phase, Phase::Delayed { .. }) {
                return Flow::Continue;
            }
            self.phase = Phase::Passing;
        }
        let Some(overrides) = plan.policy(self.policy).and_then(|p| p.overrides.as_ref()) else {
            return Flow::Continue;
        };
        let Some(reply) = response_status(host).and_then(|status| overrides.replacement(status))
        else {
            return Flow::Continue;
        };
        out.push(Action::Count(overrides.counter()));
        match means(host, &reply, end, self.grpc) {
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

    /// What comes after the delay: the abort, drawn independently.
    fn after_delay<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Flow {
        let abort = policy
            .fault
            .as_ref()
            .and_then(|fault| fault.draw_abort(host));
        let Some((reply, counter)) = abort else {
            return Flow::Continue;
        };
        out.push(Action::Count(counter));
        self.reply(policy, reply, out)
    }

    /// Sends a reply of ours, overridden if the policy says so. A gRPC client
    /// sees any local reply with HTTP status 200, and so do the overrides.
    fn reply(&mut self, policy: &PolicyPlan, reply: &Arc<Reply>, out: &mut Vec<Action>) -> Flow {
        let status = if self.grpc { 200 } else { reply.status };
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

#[cfg(test)]
mod tests;
