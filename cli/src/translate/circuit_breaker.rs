//! `circuitBreaker`: the cluster's `circuit_breakers`.

use btp_policy::native::{CircuitBreaker, Fraction};
use btp_policy::node::{Node, Value};

use super::change::{Change, Changes, HttpPart, Operation, Path, Step, Target};
use crate::envoy::json::{list, node, put};
use crate::envoy::tree::same;

/// Envoy Gateway's limit of everything that no limit is given for.
pub(super) const DEFAULT_LIMIT: u32 = 1024;

/// The thresholds of requests of the usual priority.
pub(super) fn thresholds() -> Path {
    Path::new("circuit_breakers.thresholds").then(Step::Item {
        key: "priority",
        value: "DEFAULT",
        is_default: true,
    })
}

pub(super) fn max_retries() -> Path {
    thresholds().then(Step::Field("max_retries".to_owned()))
}

/// The same change without Envoy Gateway's own limit of retries, which the policy says none
/// of; `None`: it sets nothing else.
pub(crate) fn without_default_retries(change: &Change) -> Option<Change> {
    let mut change = change.clone();
    let is_default = |it: &Node| same(it, &node!(DEFAULT_LIMIT));
    match &mut change.operation {
        Operation::Enable(value) if change.path == max_retries() && is_default(value) => None,
        Operation::Merge(most) if change.path == thresholds() => {
            if let Value::Map(limits) = &mut most.value {
                limits.retain(|it| it.key != "max_retries" || !is_default(&it.node));
            }
            Some(change)
        }
        _ => Some(change),
    }
}

pub(super) fn translate(breaker: &CircuitBreaker, has_constraint: bool, out: &mut Changes) {
    let limit = |limit: Option<u32>| limit.unwrap_or(DEFAULT_LIMIT);
    // A retryConstraint counts for itself.
    let retries = if has_constraint {
        u32::MAX
    } else {
        DEFAULT_LIMIT
    };
    let mut most = node!({
        "max_connections": (limit(breaker.max_connections)),
        "max_pending_requests": (limit(breaker.max_pending_requests)),
        "max_requests": (limit(breaker.max_parallel_requests)),
        "max_retries": (breaker.max_parallel_retries.unwrap_or(retries)),
    });
    let budget = breaker.retry_budget.as_ref().map(|budget| {
        node!({
            "budget_percent": { "value": (percent(budget.percent)) },
            "min_retry_concurrency": (budget.min_retry_concurrency.unwrap_or(3)),
        })
    });
    if budget.is_none() {
        // One that stands there would rule instead of max_retries.
        let path = thresholds().then(Step::Field("retry_budget".to_owned()));
        out.add("circuitBreaker", Target::Cluster, path, Operation::Remove);
    }
    put(&mut most, "retry_budget", budget);
    out.add(
        "circuitBreaker",
        Target::Route,
        "route.priority",
        Operation::Forbid(
            Some("HIGH"),
            "circuitBreaker limits only requests of default priority",
        ),
    );
    out.add(
        "circuitBreaker",
        Target::Cluster,
        thresholds(),
        Operation::Merge(most),
    );
    if let Some(endpoint) = &breaker.per_endpoint {
        let most = node!({ "max_connections": (limit(endpoint.max_connections)) });
        out.add(
            "circuitBreaker.perEndpoint",
            Target::Cluster,
            "circuit_breakers.per_host_thresholds",
            Operation::Set(list([most])),
        );
    }
    if let Some(most) = breaker.max_requests_per_connection {
        out.add(
            "circuitBreaker.maxRequestsPerConnection",
            Target::Cluster,
            Path::default(),
            Operation::HttpOptions(HttpPart::Common(node!({
                "max_requests_per_connection": (most)
            }))),
        );
    }
}

/// Required by the API: without it, all retries are spared.
fn percent(fraction: Option<Fraction>) -> f64 {
    let Some(Fraction {
        numerator,
        denominator,
    }) = fraction
    else {
        return 100.0;
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of 2^53 parts is exact enough"
    )]
    let share = numerator as f64 / denominator as f64;
    100.0 * share
}
