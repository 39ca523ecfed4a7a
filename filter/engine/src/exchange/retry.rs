//! Retries: the orders for the router, and the events for the budget.

use std::sync::Arc;

use super::state::RequestState;
use super::{Context, Exchange};
use crate::action::{Action, Flow, HeaderEdit, Reply, Response};
use crate::decision::{Decided, Value};
use crate::grpc::reply_format::ReplyFormat;
use crate::host::{Attribute, Host};
use crate::plan::Plan;
use crate::retry::{
    AttemptDecision, ExchangeId, RATE_LIMITED, Retries, RetryBudget, RuleId, refusal,
    response_outcome,
};

/// What a response or an access log says when a retry was refused.
const REPORT: (&str, &str) = ("x-btp-retry-budget", "exhausted");
const PROPERTY: &str = "btp_retry_budget";
/// How often a hedged attempt that waits asks again.
const PATIENCE_NS: u64 = 20_000_000;

/// An attempt as the upstream instance knows it.
#[derive(Debug)]
pub(super) struct Attempt {
    exchange: ExchangeId,
    number: u32,
    waits: bool,
}

/// What the retry budget makes of the final response.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    /// The client gets this instead.
    pub(super) reply: Option<Arc<Reply>>,
    /// How the response's headers change if it goes on.
    pub(super) edits: Vec<HeaderEdit>,
}

/// What the policy with this index says of retries.
fn retries_of(plan: &Plan, policy: Option<usize>) -> Option<&Retries> {
    plan.policy(policy)?.retries.as_ref()
}

/// The downstream instance.
impl Exchange {
    /// If nothing holds the request any more it goes on to the router, which
    /// gets its orders first. The flow stays what it is.
    pub(super) fn forward<H: Host>(&mut self, flow: Flow, cx: &mut Context<'_, H>) -> Flow {
        let has_left = matches!(self.request, RequestState::Passing | RequestState::Answered);
        if flow != Flow::Continue || has_left {
            return flow;
        }
        self.request = RequestState::Passing;
        let plan = cx.plan;
        let own = retries_of(plan, self.policy);
        let service = plan.service(self.service);
        let of_service = service.and_then(|it| retries_of(plan, Some(it.policy)));
        let (retries, rule) = match (own, of_service) {
            (Some(own), _) => (own, self.facts.retry),
            (None, Some(retries)) => (retries, retries.rule_for_all()),
            (None, None) => return flow,
        };
        let limit = match self.budget(plan) {
            Some(account) => self.open(retries, rule, account, cx),
            None => None,
        };
        retries.instruct(rule, limit, &mut cx.event);
        flow
    }

    /// The budget that bounds the request's retries, with the policy that it is of: that of
    /// the policy that governs it, else that of the Service that it goes to.
    fn budget<'p>(&self, plan: &'p Plan) -> Option<(usize, &'p RetryBudget)> {
        let of_service = plan.service(self.service).map(|it| it.policy);
        let policies = [self.policy, of_service];
        policies.into_iter().flatten().find_map(|policy| {
            let budget = retries_of(plan, Some(policy))?.budget.as_ref()?;
            Some((policy, budget))
        })
    }

    /// Opens the exchange in the ledger; how many retries there may be.
    fn open<H: Host>(
        &mut self,
        retries: &Retries,
        rule: Option<RuleId>,
        (policy, budget): (usize, &RetryBudget),
        cx: &mut Context<'_, H>,
    ) -> Option<u32> {
        let now = cx.event.now_ns();
        let random = cx.event.host.random();
        let service = cx.plan.service(self.service);
        let service = service.map_or("", |it| &it.service);
        let account = cx
            .worker
            .budget(policy, budget, service, cx.ledger, &mut cx.event);
        let request = retries.budget_request(budget, account, rule);
        let is_named = !request.reserves;
        let Some(opened) = cx.ledger.open(request, random, cx.event.host, now) else {
            return Some(0);
        };
        self.opened = Some(opened.id);
        if is_named {
            let name = Action::NameExchange(opened.id.to_bytes());
            cx.event.out.push(name);
        }
        opened.limit
    }

    /// The final response begins.
    pub(super) fn settle<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Settlement {
        let mut settlement = Settlement::default();
        let Some(id) = self.opened else {
            return settlement;
        };
        let now = cx.event.now_ns();
        let settled = cx.ledger.settle(id, true, cx.event.host, now);
        let Some((_, budget)) = self.budget(cx.plan) else {
            return settlement;
        };
        if settled.observer_is_missing {
            let message = Action::Log(budget.reserve_mode().into());
            cx.event.out.push(message);
        }
        if settled.marked {
            let edit = HeaderEdit::Remove(RATE_LIMITED.into());
            settlement.edits.push(edit);
        }
        if !settled.refused {
            return settlement;
        }
        let property = Action::SetProperty(PROPERTY, REPORT.1);
        cx.event.out.push(property);
        let exhausted = Decided::BudgetExhausted;
        cx.event.note_of(&budget.labels, exhausted, Value::None);
        settlement.reply = budget.reply.clone();
        if budget.reports {
            let edit = HeaderEdit::Set(REPORT.0.into(), REPORT.1.into());
            settlement.edits.push(edit);
        }
        settlement
    }

    /// The exchange is over.
    pub(super) fn end_retries<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        if let Some(id) = self.opened {
            // Nearly always it is, and the time is not asked.
            if !cx.ledger.is_settled(id) {
                let now = cx.event.now_ns();
                let _ = cx.ledger.settle(id, false, cx.event.host, now);
            }
            cx.ledger.close(id, cx.event.host);
            self.opened = None;
        }
        if let Some(attempt) = self.attempt.take() {
            cx.ledger.end_attempt(attempt.exchange, attempt.waits);
        }
    }
}

/// The upstream instance, which sees each attempt.
impl Exchange {
    pub(super) fn begin_attempt<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        let name = cx.event.host.attribute(Attribute::ExchangeName);
        let Some(id) = name.and_then(|name| ExchangeId::from_bytes(&name)) else {
            return Flow::Continue;
        };
        let now = cx.event.now_ns();
        let Some((number, decision)) = cx.ledger.begin_attempt(id, cx.event.host, now) else {
            // Its account has died with the VM that kept it: nobody can say
            // that there is credit.
            return match cx.event.host.attempts() {
                2.. => self.apply_decision(AttemptDecision::Refuse, cx),
                _ => Flow::Continue,
            };
        };
        self.attempt = Some(Attempt {
            exchange: id,
            number,
            waits: false,
        });
        self.apply_decision(decision, cx)
    }

    /// A hedged attempt that waits asks again.
    pub(super) fn ask_again<H: Host>(&mut self, cx: &mut Context<'_, H>) -> Flow {
        let Some(attempt) = &self.attempt else {
            return Flow::Continue;
        };
        let (id, now) = (attempt.exchange, cx.event.now_ns());
        let decision = cx.ledger.ask_again(id, cx.event.host, now);
        let flow = self.apply_decision(decision, cx);
        if flow == Flow::Continue {
            self.request = RequestState::Passing;
        }
        flow
    }

    fn apply_decision<H: Host>(
        &mut self,
        decision: AttemptDecision,
        cx: &mut Context<'_, H>,
    ) -> Flow {
        if let Some(attempt) = &mut self.attempt {
            attempt.waits = decision == AttemptDecision::Wait;
        }
        match decision {
            AttemptDecision::Proceed => Flow::Continue,
            AttemptDecision::Wait => {
                let until = cx.event.now_ns().saturating_add(PATIENCE_NS);
                self.request = RequestState::AwaitingCredit { until };
                Flow::HoldAll
            }
            AttemptDecision::Refuse => {
                // It never went, so nothing of it is live.
                self.attempt = None;
                let format = ReplyFormat::of_request(cx.event.host);
                let reply = format.encode(Response::from(&refusal()));
                let reply = Action::ReplyInstead(Box::new(reply));
                cx.event.out.push(reply);
                self.stop()
            }
        }
    }

    /// The response to this attempt arrived.
    pub(super) fn attempt_answered<H: Host>(&mut self, cx: &mut Context<'_, H>) {
        let Some(attempt) = &self.attempt else {
            return;
        };
        let (id, number) = (attempt.exchange, attempt.number);
        let asks_grpc = cx.ledger.asks_grpc(id);
        let Some(outcome) = response_outcome(cx.event.host, asks_grpc) else {
            return;
        };
        let now = cx.event.now_ns();
        if cx
            .ledger
            .on_response(id, number, outcome, cx.event.host, now)
        {
            let mark = HeaderEdit::Set(RATE_LIMITED.into(), "true".into());
            cx.event.out.push(Action::EditResponseHeader(mark));
        }
    }
}
