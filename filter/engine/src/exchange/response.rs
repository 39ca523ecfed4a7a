//! The response phase: rate limit headers, overrides.

use super::state::ResponseState;
use super::{Context, Exchange};
use crate::action::{Action, Flow, HeaderEdit};
use crate::decision::{Decided, Value};
use crate::host::{Host, response_status};
use crate::plan::PolicyPlan;
use crate::response_override::Instead;

impl Exchange {
    /// Response headers arrived; `end` if there is no body and no trailers.
    pub fn response_headers<H: Host>(&mut self, cx: &mut Context<'_, H>, end: bool) -> Flow {
        let status = match self.response {
            ResponseState::Awaited { status } => status,
            // To the router a reply of ours is the attempt's response.
            ResponseState::Replied => {
                self.attempt_answered(cx);
                return Flow::Continue;
            }
            ResponseState::Passing | ResponseState::Replacing { .. } => return Flow::Continue,
        };
        self.response = ResponseState::Passing;
        self.forget_counted(cx.worker);
        let flow = self.answer(cx, status, end);
        self.facts.snapshot.release();
        flow
    }

    /// Bytes of the response body arrived.
    pub fn response_body<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        if let ResponseState::Replacing { unwritten } = &mut self.response {
            let body = unwritten.take().map(|body| body.into_bytes());
            let replaced = Action::ReplaceBody(body.unwrap_or_default());
            cx.event.out.push(replaced);
        }
        Flow::Continue
    }

    /// Response trailers arrived.
    pub fn response_trailers<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        if matches!(self.response, ResponseState::Replacing { .. }) {
            cx.event.out.push(Action::DropTrailers);
        }
        Flow::Continue
    }

    /// The first response headers. The order matters:
    ///
    /// 1. the budget of the attempt learns how the upstream answered, before
    ///    anything is changed;
    /// 2. the response gets the status that a fault gives it, so that rules see
    ///    it;
    /// 3. the request's body is let go;
    /// 4. the retry budget may answer instead;
    /// 5. if it does not, overrides may replace the response. They start from
    ///    the headers as they came, all of which they may replace, so that what
    ///    the budget changes of these is written last.
    fn answer<H: Host>(
        &mut self,
        cx: &mut Context<'_, H>,
        injected_status: Option<u16>,
        end: bool,
    ) -> Flow {
        self.attempt_answered(cx);
        self.request.response_arrives();
        let Some(policy) = cx.plan.policy(self.policy) else {
            return Flow::Continue;
        };
        if let (Some(status), Some(fault)) = (injected_status, &policy.fault) {
            let value = Value::Status(status);
            cx.event.decided(fault.aborts, Decided::Aborted, value);
            let status = HeaderEdit::status(status);
            cx.event.out.push(Action::EditResponseHeader(status));
        }
        if self.body.is_some() {
            let status = response_status(cx.event.host);
            self.answer_body(policy, status, cx);
        }
        let budget = self.settle(cx);
        let flow = match budget.reply {
            Some(reply) => self.reply(policy, &reply, cx),
            None => self.replace(policy, cx, end),
        };
        if flow != Flow::Stop {
            let edits = budget.edits.into_iter();
            cx.event.out.extend(edits.map(Action::EditResponseHeader));
        }
        flow
    }

    fn replace<H: Host>(
        &mut self,
        policy: &PolicyPlan,
        cx: &mut Context<'_, H>,
        end: bool,
    ) -> Flow {
        let overrides = policy.overrides.as_ref();
        let (client, limits) = (self.facts.recipient(), cx.worker.value_limits());
        let instead =
            overrides.and_then(|it| it.instead_of_response(client, limits, end, &mut cx.event));
        let out = &mut *cx.event.out;
        match instead {
            Some(Instead::Headers(edits)) => {
                out.extend(edits.into_iter().map(Action::EditResponseHeader));
                self.add_limit_headers(out);
                Flow::Continue
            }
            Some(Instead::InPlace(headers, body)) => {
                out.push(Action::ReplaceResponseHeaders(headers));
                let unwritten = Some(Box::new(body));
                self.response = ResponseState::Replacing { unwritten };
                Flow::Continue
            }
            Some(Instead::Reply(response)) => {
                out.push(Action::ReplyInstead(Box::new(response)));
                self.stop()
            }
            None => {
                self.add_limit_headers(out);
                Flow::Continue
            }
        }
    }

    /// Adds the rate limit headers to a response whose body stays.
    fn add_limit_headers(&mut self, out: &mut Vec<Action>) {
        if let Some(limit_headers) = self.limit_headers.take() {
            limit_headers.add_to_response(out);
        }
    }
}
