//! The same work by Envoy's own filters, retry policy and retry budget.

use serde_json::{Value, json};

use super::ours::PLENTY;
use super::{FILTERS, FIVE, FOUR, FOUR_SILENT, Kind, Variant};
use crate::traffic::Traffic;

/// The cluster with a retry budget.
pub(super) const BUDGETED: &str = "budgeted";

/// Nothing fires.
pub(super) fn quiet() -> Vec<Variant> {
    let own = |what, filters| Variant::quiet(what, Kind::Envoy, filters);
    let retrying = |variant: Variant, cluster| {
        let mut route = variant.route.clone();
        route["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 2});
        Variant {
            route,
            cluster,
            ..variant
        }
    };
    vec![
        own("fault injection", vec![fault(0)]),
        own("one limit", vec![limit(PLENTY, &[])]),
        own("request buffer", vec![buffer(1 << 20)]),
        own("response override", vec![override_of(599)]),
        retrying(own("retry", vec![]), super::PLAIN),
        retrying(own("retry budget", vec![]), BUDGETED),
        four(FOUR, true),
        four(FOUR_SILENT, false),
        retrying(four(FIVE, true), BUDGETED),
    ]
}

/// Every request is answered by a filter.
pub(super) fn firing() -> Vec<Variant> {
    let own = |what, filter, exchange| Variant::firing(what, Kind::Envoy, filter, exchange);
    vec![
        own("429 of a limit", limit(1, &[]), (Traffic::Refused, 429)),
        own("413 of a body limit", buffer(10), (Traffic::Upload, 413)),
        own("abort", fault(100), (Traffic::Refused, 503)),
        own(
            "override of a 404",
            override_of(404),
            (Traffic::Absent, 503),
        ),
    ]
}

fn four(what: &'static str, tells: bool) -> Variant {
    let tier = json!({"entries": [{"key": "header_match", "value": "gold"}],
        "token_bucket": {"max_tokens": 5, "fill_interval": "3600s"}});
    let mut limit = limit(PLENTY, &[tier]);
    if !tells {
        limit["typed_config"]["enable_x_ratelimit_headers"] = json!("OFF");
    }
    let filters = vec![fault(0), limit, buffer(1 << 20), override_of(599)];
    let route = json!({"rate_limits": [{"actions": [{"header_value_match": {
        "descriptor_value": "gold",
        "headers": [{"name": "x-tier", "string_match": {"exact": "gold"}}]}}]}]});
    Variant {
        route,
        ..Variant::quiet(what, Kind::Envoy, filters)
    }
}

fn fault(percent: u32) -> Value {
    json!({"name": "fault", "typed_config": {"@type": format!("{FILTERS}.fault.v3.HTTPFault"),
        "abort": {"http_status": 503, "percentage": {"numerator": percent}}}})
}

/// One token is gone with the first request of the warm-up, if it is so few.
fn limit(tokens: u32, descriptors: &[Value]) -> Value {
    let always = json!({"default_value": {"numerator": 100}});
    json!({"name": "limit", "typed_config": {
        "@type": format!("{FILTERS}.local_ratelimit.v3.LocalRateLimit"),
        "stat_prefix": "bench",
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "3600s"},
        "filter_enabled": always, "filter_enforced": always,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "descriptors": descriptors}})
}

fn buffer(bytes: u32) -> Value {
    json!({"name": "buffer", "typed_config": {"@type": format!("{FILTERS}.buffer.v3.Buffer"),
        "max_request_bytes": bytes}})
}

fn override_of(status: u16) -> Value {
    let matching = json!({"single_predicate": {
        "input": {"name": "status", "typed_config": {
            "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"}},
        "value_match": {"exact": status.to_string()}}});
    let action = json!({"action": {"name": "respond", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        "status_code": 503, "body": {"inline_string": "later\n"}}}});
    json!({"name": "override", "typed_config": {
        "@type": format!("{FILTERS}.custom_response.v3.CustomResponse"),
        "custom_response_matcher": {"matcher_list": {"matchers": [
            {"predicate": matching, "on_match": action}]}}}})
}
