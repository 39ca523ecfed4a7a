//! `retry`: the route's `retry_policy`.
//!
//! From `retryOn.conditions` it takes what holds for all methods. For the other methods the
//! filter sends the router headers with the additional outcomes, which Envoy adds to the
//! policy.
//!
//! Unlike Envoy Gateway, which leaves status codes without effect where the
//! triggers do not hold `retriable-status-codes`, this adds the trigger.

use btp_policy::scalar::Duration;
use btp_policy::spec::{Retry, RetryOn, Trigger};

use super::change::{Change, Changes, Operation, Target};
use super::circuit_breaker::{DEFAULT_LIMIT, max_retries};
use crate::envoy::json::{IntoNode, list, node, put};

/// Envoy's default, which it lacks where only the longest is given.
const BASE_INTERVAL: Duration = Duration::from_millis(25);

pub(super) fn translate(retry: &Retry, has_constraint: bool, out: &mut Changes) {
    let for_all = retry.for_all_methods();
    let retry_on = for_all.as_ref().map(triggers);
    let mut policy = node!({});
    put(&mut policy, "retry_on", retry_on);
    put(&mut policy, "num_retries", Some(retry.num_retries));
    let codes = for_all.unwrap_or_default().status_codes;
    if !codes.is_empty() {
        let codes = codes.iter().map(|code| u32::from(*code).into_node());
        put(&mut policy, "retriable_status_codes", Some(list(codes)));
    }
    put(&mut policy, "per_try_timeout", retry.per_try_timeout);
    if retry.base_interval.is_some() || retry.max_interval.is_some() {
        let most = retry.max_interval.unwrap_or(BASE_INTERVAL);
        let base = retry.base_interval.unwrap_or(BASE_INTERVAL.min(most));
        let mut back_off = node!({ "base_interval": (base) });
        put(&mut back_off, "max_interval", retry.max_interval);
        put(&mut policy, "retry_back_off", Some(back_off));
    }
    let another_host = node!([{
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        }
    }]);
    put(&mut policy, "retry_host_predicate", Some(another_host));
    put(&mut policy, "host_selection_retry_max_attempts", Some(5));
    let frequency = retry.num_attempts_per_priority.filter(|number| *number > 0);
    let priority = frequency.map(|number| {
        node!({
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": (number)
            }
        })
    });
    put(&mut policy, "retry_priority", priority);
    // Envoy would take it instead.
    let path = "route.retry_policy_typed_config";
    out.add("retry", Target::Route, path, Operation::Remove);
    out.add(
        "retry",
        Target::Route,
        "route.retry_policy",
        Operation::Set(policy),
    );
    let most = if has_constraint {
        u32::MAX
    } else {
        DEFAULT_LIMIT
    };
    let path = max_retries();
    out.add(
        "retry",
        Target::Cluster,
        path,
        Operation::Enable(node!(most)),
    );
}

/// What lifts Envoy's bound on retries of a cluster whose Service has a budget.
pub(crate) fn lifted() -> Change {
    Change {
        field: "spec.retryConstraint".to_owned(),
        also: Vec::new(),
        target: Target::Cluster,
        path: max_retries(),
        operation: Operation::Enable(node!(u32::MAX)),
    }
}

fn triggers(on: &RetryOn) -> String {
    let triggers = on.triggers.iter().copied();
    triggers.map(Trigger::as_str).collect::<Vec<_>>().join(",")
}
