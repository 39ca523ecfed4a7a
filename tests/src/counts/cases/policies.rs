//! The policies under which exchanges are counted.

use std::time::Duration;

use serde_json::{Value, json};

/// Nobody reaches it.
const PLENTY: u32 = 1_000_000_000;

/// Of budgets. They read their account once in each hundredth of it: longer than several
/// exchanges take on a machine that others use, too, and short enough to wait for.
const INTERVAL: &str = "4m";
pub(in crate::counts) const SLICE: Duration = Duration::from_millis(2400);

/// A policy of these routes.
pub(super) fn effective_policy(name: &str, routes: &[&str], spec: &Value) -> Value {
    let mut spec = spec.clone();
    let targets = routes.iter().map(
        |name| json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}),
    );
    spec["targetRefs"] = targets.collect();
    // Of its own name, so that it shares nothing with the others.
    let name = name.to_lowercase().replace([' ', ','], "-");
    json!({"metadata": {"name": name}, "spec": spec})
}

/// One request in a million meets it: it is drawn for each.
pub(super) fn fault() -> Value {
    json!({"faultInjection": {"abort": {"httpStatus": 503, "percentage": 0.0001}}})
}

pub(super) fn aborting() -> Value {
    json!({"faultInjection": {"abort": {"httpStatus": 418}}})
}

pub(super) fn limit() -> Value {
    rules(&[plentiful_rule()])
}

pub(super) fn header_rule() -> Value {
    rules(&[rare_rule()])
}

/// All but the first request are refused.
pub(super) fn refusing() -> Value {
    rules(&[json!({"limit": {"requests": 1, "unit": "Hour"}})])
}

/// Clients are told nothing of the limits.
pub(super) fn without_headers(mut spec: Value) -> Value {
    let rules = spec["rateLimit"]["local"]["rules"].as_array_mut();
    for rule in rules.into_iter().flatten() {
        rule["xRateLimitHeaders"] = json!("Off");
    }
    spec
}

pub(super) fn buffer() -> Value {
    json!({"requestBuffer": {"limit": "1Mi"}})
}

/// Answers of this status become others.
pub(super) fn overriding(status: u16) -> Value {
    json!({"responseOverride": [{"match": {"statusCodes": [{"value": status}]},
        "response": {"statusCode": 503, "body": {"inline": "later"}}}]})
}

pub(super) fn retry() -> Value {
    json!({"retry": {"numRetries": 2, "retryOn": {"triggers": ["5xx"]}}})
}

/// All but retries.
pub(super) fn four() -> Value {
    let limits = rules(&[plentiful_rule(), rare_rule()]);
    let mut spec = fault();
    for more in [limits, buffer(), overriding(599)] {
        with(&mut spec, &more);
    }
    spec
}

/// The same and bounded retries.
pub(super) fn five() -> Value {
    let mut spec = four();
    with(&mut spec, &retry());
    spec["retryConstraint"] = json!({"budget": {"percent": 20, "interval": INTERVAL},
        "minRetryRate": {"count": 10, "interval": "1h"}});
    spec
}

fn rules(rules: &[Value]) -> Value {
    json!({"rateLimit": {"local": {"rules": rules}}})
}

fn plentiful_rule() -> Value {
    json!({"limit": {"requests": PLENTY, "unit": "Second"}})
}

fn rare_rule() -> Value {
    json!({"clientSelectors": [{"headers": [{"name": "x-tier", "value": "gold"}]}],
        "limit": {"requests": 5, "unit": "Hour"}})
}

fn with(spec: &mut Value, more: &Value) {
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
}
