//! Retries: what Envoy's router is told to retry, and how often in all.
//!
//! The router performs the retries. It takes its orders from request headers
//! (`x-envoy-retry-on` and its kin), which it keeps to itself. Every write to
//! a request header makes Envoy look for its route again, so headers are
//! written only where they change what happens.

mod budget;
mod ledger;
mod outcomes;
mod reservation;
mod window;

use std::borrow::Cow;
use std::sync::Arc;

use btp_policy::config::NativeFields;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::{BudgetMode, OnExhausted, Retry, RetryConstraint, Scope, Spec};

use crate::action::{Action, Reply};
use crate::definitions;
use crate::event::Event;
use crate::host::metrics::{Label, Labels};
use crate::host::{Attribute, Host, parse, response_status};
use crate::request::Request;
use crate::request::required::RequiredInputs;
use budget::BudgetConfig;
use ledger::BudgetRequest;
use outcomes::{RetryableOutcomes, triggers};

pub use ledger::Ledger;
pub(crate) use ledger::{AttemptDecision, ExchangeId, ResponseOutcome};
pub use reservation::recover;

/// `retry` and `retryConstraint`, compiled.
#[derive(Debug)]
pub(crate) struct Retries {
    methods: Vec<String>,
    outcomes: Option<Arc<RetryableOutcomes>>,
    /// What switches retries on, where Envoy's own configuration does not.
    orders: Vec<(&'static str, Arc<str>)>,
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
    /// Retries are paid for from the start, whoever sees the attempts.
    reserves: bool,
}

const MAX_RETRIES: &str = "x-envoy-max-retries";
/// Stops the router's retries.
pub(crate) const RATE_LIMITED: &str = "x-envoy-ratelimited";
/// `%RESPONSE_CODE_DETAILS%` of a refused retry.
const DETAILS: &str = "btp_retry_budget";
const NANOS_PER_MS: u64 = 1_000_000;

impl Retries {
    /// `None` if the policy says nothing of retries.
    pub(crate) fn compile(policy: &ObjectName, spec: &Spec, native: NativeFields) -> Option<Self> {
        let retry = spec.retry.as_ref();
        let constraint = spec.retry_constraint.as_ref();
        if retry.is_none() && constraint.is_none() {
            return None;
        }
        let by_envoy = native == NativeFields::Applied;
        Some(Self {
            methods: retry.map(|it| it.methods.clone()).unwrap_or_default(),
            outcomes: retry.map(|it| Arc::new(RetryableOutcomes::of(it))),
            orders: retry.filter(|_| !by_envoy).map(orders).unwrap_or_default(),
            most: retry.map(|it| it.num_retries.to_string().into()),
            budget: constraint.map(|it| RetryBudget::of(policy, it)),
        })
    }

    pub(crate) fn requires(&self) -> RequiredInputs {
        let replies = |budget: &RetryBudget| budget.reply.is_some();
        RequiredInputs {
            headers: !self.methods.is_empty(),
            // A refusal replies when there is a response, and the host shows no
            // request headers any more.
            grpc: self.budget.as_ref().is_some_and(replies),
            ..RequiredInputs::default()
        }
    }

    /// Whether requests like this may be retried. Without conditions
    /// there is no need to ask.
    pub(crate) fn is_for(&self, request: &Request<'_>) -> bool {
        let wanted = |method: &String| method.as_bytes() == request.method();
        self.methods.is_empty() || self.methods.iter().any(wanted)
    }

    /// Whether the answer of [`Self::is_for`] depends on the request.
    pub(crate) fn is_for_all(&self) -> bool {
        self.methods.is_empty()
    }

    /// Tells the router what to do with a request that goes on. `limit` is
    /// what the budget or the method leaves.
    pub(crate) fn instruct<H: Host>(&self, limit: Option<u32>, event: &mut Event<'_, H>) {
        let most = self.outcomes.as_ref().map(|outcomes| outcomes.max_retries);
        let allowed = match (most, limit) {
            (Some(most), Some(limit)) => Some(most.min(limit)),
            (most, limit) => most.or(limit),
        };
        let set = |name, value| Action::SetRequestHeader(name, value);
        if allowed == Some(0) {
            event.out.push(set(MAX_RETRIES, "0".into()));
            return;
        }
        event.out.extend(
            self.orders
                .iter()
                .map(|(name, value)| set(name, Arc::clone(value))),
        );
        let Some(allowed) = allowed else {
            return;
        };
        let is_told = !self.orders.is_empty();
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
        may_retry: bool,
    ) -> BudgetRequest {
        BudgetRequest {
            budget: account,
            outcomes: self.outcomes.clone(),
            may_retry,
            reserves: budget.reserves,
        }
    }
}

impl RetryBudget {
    fn of(policy: &ObjectName, constraint: &RetryConstraint) -> Self {
        Self {
            labels: definitions::labels(policy, None),
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
                "retry budget {}: each request holds the credit for its one retry from its \
                 start (mode Reserve)",
                self.labels.dotted_prefix()
            )
        })
    }

    /// What tells the budget of the request at hand from the policy's others.
    pub(crate) fn part<'h, H: Host>(&self, host: &'h H) -> Cow<'h, [u8]> {
        let name = match self.scope {
            Scope::Policy => return Cow::Borrowed(b""),
            Scope::Route => Attribute::RouteName,
            Scope::Cluster => Attribute::UpstreamCluster,
        };
        host.attribute(name).unwrap_or_default()
    }

    /// The labels of the budget for a part. What cannot stand in the name of a
    /// statistic becomes an underscore.
    pub(crate) fn labels_of(&self, part: &[u8]) -> Labels {
        let label = match self.scope {
            Scope::Policy => return self.labels.clone(),
            Scope::Route => Label::Route,
            Scope::Cluster => Label::Cluster,
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
            "retry budget {}: requests reach an upstream without passing an instance of this \
             filter with position Upstream, so that each must hold the credit for its one retry \
             from its start (reserve mode)",
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

/// The headers that make the router retry, but for their number.
fn orders(retry: &Retry) -> Vec<(&'static str, Arc<str>)> {
    let (http, grpc) = triggers(retry);
    let codes: Vec<String> = retry.status_codes.iter().map(u16::to_string).collect();
    let timeout = retry
        .per_try_timeout
        .map(|timeout| (timeout.as_nanos() / NANOS_PER_MS).to_string());
    let mut orders: Vec<(&'static str, String)> = vec![
        ("x-envoy-retry-on", http.join(",")),
        ("x-envoy-retry-grpc-on", grpc.join(",")),
        ("x-envoy-retriable-status-codes", codes.join(",")),
    ];
    orders.extend(timeout.map(|it| ("x-envoy-upstream-rq-per-try-timeout-ms", it)));
    orders.retain(|(_, value)| !value.is_empty());
    orders
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect()
}

/// Whether the client itself asks for more retries; Envoy lets internal
/// clients do so.
fn asks_for_more<H: Host>(host: &H, allowed: u32) -> bool {
    let asked = host.request_header(MAX_RETRIES);
    let asked = asked.and_then(|value| std::str::from_utf8(&value).ok()?.trim().parse().ok());
    asked.is_some_and(|asked: u32| asked > allowed)
}

#[cfg(test)]
mod tests;
