//! `retry` and `retryConstraint`: for what the request is retried, and within which
//! budget.

use btp_policy::spec::{Retry, RetryConstraint, RetryOn, Scope};

use super::asked::Asked;
use super::conditions::Applies;
use super::{Decision, Item};

pub(super) fn decide(retry: &Retry, budget: Option<&RetryConstraint>, asked: &Asked) -> Decision {
    let method = asked.request.method();
    let is_for = |methods: &[String]| methods.is_empty() || methods.iter().any(|it| it == method);
    let mut items = Vec::new();
    let mut is_retried = false;
    for (place, condition) in retry.conditions.iter().enumerate() {
        let applies = match (is_for(&retry.methods), is_for(&condition.methods)) {
            (true, true) => Applies::Yes,
            (false, _) => no(method, &retry.methods),
            (true, false) => no(method, &condition.methods),
        };
        is_retried |= applies.is_yes();
        let name = match retry.conditions.len() {
            1 => "retryOn".to_owned(),
            _ => format!("retryOn.conditions[{place}]"),
        };
        items.push(Item::new(name, applies, vec![reasons(&condition.on)]));
    }
    let count = retry.num_retries;
    let answer = match (count, is_retried) {
        (0, _) => "is never retried: numRetries is 0".to_owned(),
        (_, false) => format!("is never retried: {method} is not one of the methods"),
        (1, true) => "is retried once at most".to_owned(),
        (_, true) => format!("is retried {count} times at most"),
    };
    if let Some(budget) = budget {
        items.push(Item::new(
            "retryConstraint",
            Applies::Yes,
            vec![bound(budget)],
        ));
    }
    Decision {
        field: "retry",
        answer,
        items,
    }
}

fn no(method: &str, methods: &[String]) -> Applies {
    Applies::No(format!("method {method} is not {}", methods.join(" or ")))
}

fn reasons(on: &RetryOn) -> String {
    let triggers = on.triggers.iter().map(|it| it.as_str().to_owned());
    let codes = on.status_codes.iter().map(u16::to_string);
    let all: Vec<String> = triggers.chain(codes).collect();
    format!("for {}", all.join(", "))
}

fn bound(budget: &RetryConstraint) -> String {
    let RetryConstraint {
        percent,
        interval,
        min_retries,
        min_retries_interval,
        ..
    } = budget;
    let whose = match budget.scope {
        Scope::Policy => "the policy",
        Scope::Route => "the route",
        Scope::Cluster => "the cluster",
        Scope::Service => "the Service",
    };
    format!(
        "while the retries of {whose} in {interval} are at most {percent} % of its requests, or \
         {min_retries} in {min_retries_interval}; only a running Envoy knows their number"
    )
}
