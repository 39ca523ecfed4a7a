//! What is compared: listeners that differ in their HTTP filters alone.

use std::net::SocketAddr;
use std::path::Path;

use btp_tests::Builder;
use btp_tests::bootstrap::cluster;
use btp_tests::build::module_filter;
use serde_json::{Value, json};

/// One listener.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    /// What a request is answered with.
    pub(crate) status: u16,
    filters: Vec<Value>,
    /// Changes to the routes: native filters have some of their settings there.
    route: Value,
    /// The cluster of the proxied route.
    cluster: &'static str,
}

pub(crate) const NATIVE_FOUR: &str = "Envoy's four filters";
pub(crate) const NATIVE_LIMIT: &str = "429 by Envoy's filter";

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";
const PLAIN: &str = "backend";
const BUDGETED: &str = "budgeted";
/// Nobody reaches it.
const PLENTY: u32 = 1_000_000_000;

impl Variant {
    fn new(name: &'static str, status: u16, filters: Vec<Value>) -> Self {
        Self {
            name,
            status,
            filters,
            route: json!({}),
            cluster: PLAIN,
        }
    }

    /// Its listener's name.
    pub(crate) fn listener(&self) -> String {
        self.name.replace(' ', "_")
    }

    pub(crate) fn listener_config(&self) -> Value {
        let mut filters = self.filters.clone();
        filters.push(json!({"name": "envoy.filters.http.router",
            "typed_config": {"@type": format!("{FILTERS}.router.v3.Router")}}));
        let mut proxied = json!({"cluster": self.cluster});
        if let (Some(route), Some(changes)) = (proxied.as_object_mut(), self.route.as_object()) {
            route.extend(changes.clone());
        }
        let routes = json!([
            {"name": "direct", "match": {"path": "/direct"},
             "direct_response": {"status": 200, "body": {"inline_string": "hello"}}},
            {"name": "proxied", "match": {"prefix": "/"}, "route": proxied}]);
        json!({
            "name": self.listener(),
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": "bench",
                    "http_filters": filters,
                    "route_config": {"virtual_hosts": [
                        {"name": "all", "domains": ["*"], "routes": routes}]}}}]}]})
    }
}

/// Nothing fires: every request passes.
pub(crate) fn quiet() -> Vec<Variant> {
    let mut variants = vec![
        Variant::new("no filter (control)", 200, vec![]),
        Variant::new("a module that does nothing", 200, vec![noop_module()]),
        Variant::new("Lua that does nothing", 200, vec![lua()]),
        native_four(NATIVE_FOUR, true),
        native_four("Envoy's four filters, without x-ratelimit headers", false),
        Variant {
            cluster: BUDGETED,
            ..native_four("Envoy's four filters, retry policy and retry budget", true)
        },
    ];
    if let Some(variant) = variants.last_mut() {
        variant.route["retry_policy"] = retry_policy()["retry_policy"].clone();
    }
    for (names, plugin) in [
        (
            [
                ".wasm, no policy for the route",
                "module, no policy for the route",
            ],
            plugin("other", &four()),
        ),
        (
            [".wasm, four capabilities", "module, four capabilities"],
            plugin("all", &four()),
        ),
        (
            [
                ".wasm, four capabilities, without x-ratelimit headers",
                "module, four capabilities, without x-ratelimit headers",
            ],
            plugin("all", &without_headers(four())),
        ),
        (
            [
                ".wasm, all five, with retries and a budget",
                "module, all five, with retries and a budget",
            ],
            plugin("all", &five()),
        ),
    ] {
        let [wasm, module] = names;
        variants.push(Variant::new(wasm, 200, vec![self::wasm(&plugin)]));
        variants.push(Variant::new(module, 200, vec![self::module(&plugin)]));
    }
    let mut plugin = plugin("all", &five());
    plugin["nativeFields"] = json!("Applied");
    for (name, filter) in [
        (
            ".wasm, all five, retries by Envoy's own policy",
            wasm(&plugin),
        ),
        (
            "module, all five, retries by Envoy's own policy",
            module(&plugin),
        ),
    ] {
        variants.push(Variant {
            route: retry_policy(),
            ..Variant::new(name, 200, vec![filter])
        });
    }
    variants
}

fn retry_policy() -> Value {
    json!({"retry_policy": {"retry_on": "5xx", "num_retries": 2}})
}

/// Every request is refused, each variant by another capability.
pub(crate) fn refusing() -> Vec<Variant> {
    let limit = json!({"rateLimit": {"local": {"rules": [
        {"limit": {"requests": 0, "unit": "Hour"}}]}}});
    let buffer = json!({"requestBuffer": {"limit": 10}});
    let abort = json!({"faultInjection": {"abort": {"httpStatus": 503}}});
    let mut variants = vec![
        Variant::new("no filter (control)", 200, vec![]),
        Variant::new(NATIVE_LIMIT, 429, vec![native_limit(1, &[])]),
    ];
    let ours = |names: [&'static str; 2], status, spec: &Value| {
        let plugin = plugin("all", spec);
        let [wasm, module] = names;
        [
            Variant::new(wasm, status, vec![self::wasm(&plugin)]),
            Variant::new(module, status, vec![self::module(&plugin)]),
        ]
    };
    variants.extend(ours(["429 by the .wasm", "429 by the module"], 429, &limit));
    variants.push(Variant::new(
        "413 by Envoy's filter",
        413,
        vec![native_buffer(10)],
    ));
    variants.extend(ours(
        ["413 by the .wasm", "413 by the module"],
        413,
        &buffer,
    ));
    variants.push(Variant::new(
        "abort by Envoy's filter",
        503,
        vec![native_fault(100)],
    ));
    variants.extend(ours(
        ["abort by the .wasm", "abort by the module"],
        503,
        &abort,
    ));
    variants
}

/// The clusters of all variants.
pub(crate) fn clusters(builder: Builder, upstream: SocketAddr) -> Builder {
    let mut budgeted = cluster(BUDGETED, upstream);
    budgeted["circuit_breakers"] = json!({"thresholds": [
        {"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}}]});
    builder.cluster(PLAIN, upstream).raw_cluster(budgeted)
}

fn plugin(target: &str, spec: &Value) -> Value {
    let names: &[&str] = match target {
        "all" => &["direct", "proxied"],
        _ => &["nobody"],
    };
    let targets = names.iter().map(
        |name| json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}),
    );
    let mut spec = spec.clone();
    spec["targetRefs"] = targets.collect();
    json!({"policies": [{"metadata": {"name": "p"}, "spec": spec}],
        "allowOnHeadersStopIteration": true})
}

fn four() -> Value {
    json!({
        "faultInjection": {"abort": {"httpStatus": 503, "percentage": 0.0001}},
        "rateLimit": {"local": {"rules": [
            {"limit": {"requests": PLENTY, "unit": "Second"}},
            {"clientSelectors": [{"headers": [{"name": "x-tier", "value": "gold"}]}],
             "limit": {"requests": 5, "unit": "Hour"}}]}},
        "requestBuffer": {"limit": "1Mi"},
        "responseOverride": [{"match": {"statusCodes": [{"value": 599}]},
            "response": {"statusCode": 503}}],
    })
}

/// Clients are told nothing of the limits.
fn without_headers(mut spec: Value) -> Value {
    for rule in spec["rateLimit"]["local"]["rules"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        rule["xRateLimitHeaders"] = json!("Off");
    }
    spec
}

fn five() -> Value {
    let mut spec = four();
    spec["retry"] = json!({"numRetries": 2, "retryOn": {"triggers": ["5xx"]}});
    spec["retryConstraint"] = json!({"budget": {"percent": 20, "interval": "10s"}});
    spec
}

fn string(plugin: &Value) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": plugin.to_string()})
}

fn wasm(plugin: &Value) -> Value {
    btp_tests::bootstrap::wasm_filter(plugin, true).unwrap_or_default()
}

fn module(plugin: &Value) -> Value {
    let file = btp_tests::repo::module().unwrap_or_default();
    json!({"name": "backend_traffic_policy", "typed_config": module_filter(&file, &string(plugin))})
}

fn noop_module() -> Value {
    let file = std::env::var_os("BTP_NOOP_MODULE").unwrap_or_default();
    json!({"name": "noop", "typed_config": module_filter(Path::new(&file), &string(&json!({})))})
}

fn lua() -> Value {
    let script = "function envoy_on_request(handle) end function envoy_on_response(handle) end";
    json!({"name": "lua", "typed_config": {"@type": format!("{FILTERS}.lua.v3.Lua"),
        "default_source_code": {"inline_string": script}}})
}

/// The same work by Envoy's own filters.
fn native_four(name: &'static str, tells: bool) -> Variant {
    let tier = json!({"entries": [{"key": "header_match", "value": "gold"}],
        "token_bucket": {"max_tokens": 5, "fill_interval": "3600s"}});
    let mut limit = native_limit(PLENTY, &[tier]);
    if !tells {
        limit["typed_config"]["enable_x_ratelimit_headers"] = json!("OFF");
    }
    let filters = vec![
        native_fault(0),
        limit,
        native_buffer(1 << 20),
        native_override(),
    ];
    let route = json!({"rate_limits": [{"actions": [{"header_value_match": {
        "descriptor_value": "gold",
        "headers": [{"name": "x-tier", "string_match": {"exact": "gold"}}]}}]}]});
    Variant {
        route,
        ..Variant::new(name, 200, filters)
    }
}

fn native_fault(percent: u32) -> Value {
    json!({"name": "fault", "typed_config": {"@type": format!("{FILTERS}.fault.v3.HTTPFault"),
        "abort": {"http_status": 503, "percentage": {"numerator": percent}}}})
}

fn native_limit(tokens: u32, descriptors: &[Value]) -> Value {
    let always = json!({"default_value": {"numerator": 100}});
    // One token is gone with the first request of the warm-up, if it is so few.
    json!({"name": "limit", "typed_config": {
        "@type": format!("{FILTERS}.local_ratelimit.v3.LocalRateLimit"),
        "stat_prefix": "bench",
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "3600s"},
        "filter_enabled": always, "filter_enforced": always,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "descriptors": descriptors}})
}

fn native_buffer(bytes: u32) -> Value {
    json!({"name": "buffer", "typed_config": {"@type": format!("{FILTERS}.buffer.v3.Buffer"),
        "max_request_bytes": bytes}})
}

fn native_override() -> Value {
    let matching = json!({"single_predicate": {
        "input": {"name": "status", "typed_config": {
            "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"}},
        "value_match": {"exact": "599"}}});
    let action = json!({"action": {"name": "respond", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        "status_code": 503}}});
    json!({"name": "override", "typed_config": {
        "@type": format!("{FILTERS}.custom_response.v3.CustomResponse"),
        "custom_response_matcher": {"matcher_list": {"matchers": [
            {"predicate": matching, "on_match": action}]}}}})
}
