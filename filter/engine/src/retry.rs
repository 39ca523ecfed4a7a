//! Retries: the router's orders, and how many retries there may be in all.
//!
//! The router performs the retries. It takes its orders from request headers
//! (`x-envoy-retry-on` and similar), and does not forward these. Every write to a request
//! header makes Envoy look for its route again, so headers are written only where they
//! change the result.

mod budget;
mod ledger;
mod outcomes;
mod reservation;
mod rule;
mod window;

use std::borrow::Cow;
use std::sync::Arc;

use btp_policy::config::NativeFields;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::{BudgetMode, OnExhausted, RetryConstraint, Scope, Spec};

use crate::action::{Action, Reply};
use crate::event::Event;
use crate::host::metrics::{Label, Labels};
use crate::host::{Attribute, Host, parse, response_status};
use crate::request::Request;
use crate::request::required::RequiredInputs;
use budget::BudgetConfig;
use ledger::BudgetRequest;
use rule::Rule;

pub use ledger::Ledger;
pub(crate) use ledger::{AttemptDecision, ExchangeId, ResponseOutcome};
pub use reservation::recover;
pub(crate) use rule::RuleId;

/// `retry` and `retryConstraint`, compiled.
#[derive(Debug)]
pub(crate) struct Retries {
    /// By method; the first that holds for one counts. A request for which none holds
    /// is not retried.
    rules: Vec<Rule>,
    /// `numRetries`.
    max_retries: Option<u32>,
    /// `numRetries` as text.
    most: Option<Arc<str>>,
    pub(crate) budget: Option<RetryBudget>,
}

/// `retryConstraint`.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// Whose budget it is; its scope may add a part.
    pub(crate) labels: Labels,
    pub(crate) scope: Scope,
    pub(crate) config: BudgetConfig,
    /// What the client gets instead of the origin's response.
    pub(crate) reply: Option<Arc<Reply>>,
    pub(crate) reports: bool,
    /// Retries are paid for from the start, even if an upstream instance sees the attempts.
    reserves: bool,
}

const MAX_RETRIES: &str = "x-envoy-max-retries";
/// Stops the router's retries.
pub(crate) const RATE_LIMITED: &str = "x-envoy-ratelimited";
/// `%RESPONSE_CODE_DETAILS%` of a refused retry.
const DETAILS: &str = "btp_retry_budget";

impl Retries {
    /// `None` if the policy says nothing of retries.
    pub(crate) fn compile(policy: &ObjectName, spec: &Spec, native: NativeFields) -> Option<Self> {
        let retry = spec.retry.as_ref();
        let constraint = spec.retry_constraint.as_ref();
        if retry.is_none() && constraint.is_none() {
            return None;
        }
        let max_retries = retry.map(|it| it.num_retries);
        Some(Self {
            rules: rule::compile(retry, native),
            max_retries,
            most: max_retries.map(|it| it.to_string().into()),
            budget: constraint.map(|it| RetryBudget::of(policy, it)),
        })
    }

    pub(crate) fn requires(&self) -> RequiredInputs {
        let replies = |budget: &RetryBudget| budget.reply.is_some();
        RequiredInputs {
            headers: !self.is_for_all(),
            // A refusal replies when there is a response, and the host shows no
            // request headers any more.
            grpc: self.budget.as_ref().is_some_and(replies),
            ..RequiredInputs::default()
        }
    }

    /// What holds for a request; `None`: it may not be retried.
    pub(crate) fn rule_for(&self, request: &Request<'_>) -> Option<RuleId> {
        let mut rules = self.rules.iter();
        RuleId::new(rules.position(|rule| rule.is_for(request.method()))?)
    }

    /// What holds for every request, if that is one thing: then there is no need to ask.
    pub(crate) fn rule_for_all(&self) -> Option<RuleId> {
        self.is_for_all().then(|| RuleId::new(0)).flatten()
    }

    /// Whether what holds for a request depends on nothing of it.
    fn is_for_all(&self) -> bool {
        self.rules.first().is_some_and(Rule::is_for_all)
    }

    /// Tells the router what to do with a request that goes on. `limit` is
    /// what the budget or the method leaves.
    pub(crate) fn instruct<H: Host>(
        &self,
        rule: Option<RuleId>,
        limit: Option<u32>,
        event: &mut Event<'_, H>,
    ) {
        let rule = rule.and_then(|it| self.rule(it));
        let (most, limit) = (self.max_retries, limit.or(rule.is_none().then_some(0)));
        let allowed = match (most, limit) {
            (Some(most), Some(limit)) => Some(most.min(limit)),
            (most, limit) => most.or(limit),
        };
        let set = |name, value| Action::SetRequestHeader(name, value);
        if allowed == Some(0) {
            event.out.push(set(MAX_RETRIES, "0".into()));
            return;
        }
        let orders = rule.map_or(&[][..], |rule| rule.orders.as_slice());
        event.out.extend(
            orders
                .iter()
                .map(|(name, value)| set(name, Arc::clone(value))),
        );
        let Some(allowed) = allowed else {
            return;
        };
        let is_told = rule.is_some_and(|rule| rule.needs_number);
        let lowered = limit.is_some() && (most.is_none() || limit < most);
        if is_told || lowered || asks_for_more(event.host, allowed) {
            let text = match &self.most {
                Some(most) if !lowered => Arc::clone(most),
                _ => allowed.to_string().into(),
            };
            event.out.push(set(MAX_RETRIES, text));
        }
    }

    /// What the ledger has to know of a request.
    pub(crate) fn budget_request(
        &self,
        budget: &RetryBudget,
        account: usize,
        rule: Option<RuleId>,
    ) -> BudgetRequest {
        // The first one's stand for those of none: its limit is zero.
        let known = rule.map_or(self.rules.first(), |it| self.rule(it));
        BudgetRequest {
            budget: account,
            outcomes: known.and_then(|rule| rule.outcomes.clone()),
            may_retry: rule.is_some(),
            reserves: budget.reserves,
        }
    }

    fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id.index())
    }
}

impl RetryBudget {
    fn of(policy: &ObjectName, constraint: &RetryConstraint) -> Self {
        Self {
            labels: Labels::of_policy(policy),
            scope: constraint.scope,
            config: BudgetConfig::of(constraint),
            reply: (constraint.on_exhausted == OnExhausted::Status503).then(|| Arc::new(refusal())),
            reports: constraint.report,
            reserves: constraint.mode == BudgetMode::Reserve,
        }
    }
}

impl RetryBudget {
    /// What the operator is told when a configuration is loaded.
    pub(crate) fn notice(&self) -> Option<String> {
        self.reserves.then(|| {
            format!(
                "retry budget {}: each request reserves its one retry when it starts (mode \
                 Reserve)",
                self.labels.dotted_prefix()
            )
        })
    }

    /// The part of the current request that selects one of the policy's budgets.
    pub(crate) fn part<'h, H: Host>(&self, service: &'h str, host: &'h H) -> Cow<'h, [u8]> {
        let name = match self.scope {
            Scope::Policy => return Cow::Borrowed(b""),
            Scope::Route => Attribute::RouteName,
            Scope::Cluster => Attribute::UpstreamCluster,
            Scope::Service => return Cow::Borrowed(service.as_bytes()),
        };
        host.attribute(name).unwrap_or_default()
    }

    /// The labels of the budget for a part. Characters that the name of a statistic cannot
    /// contain become underscores.
    pub(crate) fn labels_of(&self, part: &[u8]) -> Labels {
        let label = match self.scope {
            Scope::Policy => return self.labels.clone(),
            Scope::Route => Label::Route,
            Scope::Cluster | Scope::Service => Label::Cluster,
        };
        let plain = |byte: &u8| match byte {
            byte if byte.is_ascii_alphanumeric() || *byte == b'-' => char::from(*byte),
            _ => '_',
        };
        Labels {
            part: Some((label, part.iter().map(plain).collect())),
            ..self.labels.clone()
        }
    }

    /// What the operator is told when the upstream instance is missing.
    pub(crate) fn reserve_mode(&self) -> String {
        format!(
            "retry budget {}: requests reach an upstream without an instance of this filter with \
             position Upstream, so each request reserves its one retry when it starts (reserve \
             mode)",
            self.labels.dotted_prefix()
        )
    }
}

/// What a response says to the router; its gRPC status only if that is asked.
pub(crate) fn response_outcome<H: Host>(host: &H, asks_grpc: bool) -> Option<ResponseOutcome> {
    let status = response_status(host)?;
    let grpc_status = asks_grpc.then(|| host.response_header("grpc-status"));
    let grpc_status = grpc_status.flatten().and_then(|value| parse(&value));
    let is_fine = status < 400 && grpc_status.is_none_or(|status| status == 0);
    Some(ResponseOutcome {
        status,
        grpc_status,
        is_rate_limited: !is_fine && host.response_header(RATE_LIMITED).is_some(),
    })
}

/// The reply in place of a refused retry, where there is no response of the
/// origin's to give.
pub(crate) fn refusal() -> Reply {
    Reply::text(503, "retry budget exhausted", DETAILS)
}

/// Whether the client itself requests more retries, which Envoy permits to internal
/// clients.
fn asks_for_more<H: Host>(host: &H, allowed: u32) -> bool {
    let asked = host.request_header(MAX_RETRIES);
    let asked = asked.and_then(|value| std::str::from_utf8(&value).ok()?.trim().parse().ok());
    asked.is_some_and(|asked: u32| asked > allowed)
}

#[cfg(test)]
mod tests;
