//! Our filter in both builds, with a policy that names the route.

use anyhow::Result;
use btp_tests::bootstrap::{PLUGIN_NAME, wasm_filter};
use btp_tests::build::module_filter;
use btp_tests::repo;
use serde_json::{Value, json};

use super::{FIVE, FOUR, FOUR_SILENT, Kind, Variant};
use crate::traffic::Traffic;

/// Nobody reaches it.
pub(super) const PLENTY: u32 = 1_000_000_000;

/// Nothing fires.
pub(super) fn quiet() -> Result<Vec<Variant>> {
    let mut variants = both("no policy", || json!({"policies": []}))?;
    let mut add = |what, targets: &[&str], spec: Value| -> Result<()> {
        variants.extend(both(what, || plugin(what, targets, &spec))?);
        Ok(())
    };
    let ours = ["direct", "proxied"];
    add("policy of another route", &["nobody"], four())?;
    let of_four = |field: &str| json!({field: four()[field]});
    add("fault injection", &ours, of_four("faultInjection"))?;
    add("one limit", &ours, one_limit())?;
    add("request buffer", &ours, of_four("requestBuffer"))?;
    add("response override", &ours, of_four("responseOverride"))?;
    for (what, field) in [("retry", "retry"), ("retry budget", "retryConstraint")] {
        add(what, &ours, json!({field: five()[field]}))?;
    }
    add(FOUR, &ours, four())?;
    add(FOUR_SILENT, &ours, without_headers())?;
    add(FIVE, &ours, five())?;
    variants.extend(both_on("all five, retries by Envoy's policy", |what| {
        let mut plugin = plugin(what, &ours, &five());
        plugin["nativeFields"] = json!("Applied");
        plugin
    })?);
    Ok(variants)
}

/// Every request is answered by the filter, each time by another capability.
pub(super) fn firing() -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    let limit = json!({"limit": {"requests": 0, "unit": "Hour"}});
    for (what, spec, exchange) in [
        (
            "429 of a limit",
            json!({"rateLimit": {"local": {"rules": [limit]}}}),
            (Traffic::Refused, 429),
        ),
        (
            "413 of a body limit",
            json!({"requestBuffer": {"limit": 10}}),
            (Traffic::Upload, 413),
        ),
        (
            "abort",
            json!({"faultInjection": {"abort": {"httpStatus": 503}}}),
            (Traffic::Refused, 503),
        ),
        (
            "override of a 404",
            json!({"responseOverride": [{"match": {"statusCodes": [{"value": 404}]},
                "response": {"statusCode": 503, "body": {"inline": "later\n"}}}]}),
            (Traffic::Absent, 503),
        ),
    ] {
        let plugin = plugin(what, &["direct", "proxied"], &spec);
        for (kind, filter) in builds(&plugin)? {
            variants.push(Variant::firing(what, kind, filter, exchange));
        }
    }
    Ok(variants)
}

/// A limit that refuses nobody.
pub(super) fn one_limit() -> Value {
    let rule = json!({"limit": {"requests": PLENTY, "unit": "Second"}});
    json!({"rateLimit": {"local": {"rules": [rule]}}})
}

/// Faults, two limits, a body limit and an override, none of which has a reason to act.
pub(crate) fn four() -> Value {
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

/// The same with retries and a budget for them.
pub(super) fn five() -> Value {
    let mut spec = four();
    spec["retry"] = json!({"numRetries": 2, "retryOn": {"triggers": ["5xx"]}});
    spec["retryConstraint"] = json!({"budget": {"percent": 20, "interval": "10s"}});
    spec
}

/// A spec for the routes of these names.
pub(crate) fn targeting(names: &[&str], mut spec: Value) -> Value {
    let target =
        |name| json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name});
    spec["targetRefs"] = names.iter().map(target).collect();
    spec
}

/// A policy's name: no two variants share what workers count under it.
pub(super) fn policy_name(what: &str) -> String {
    let name = what.to_lowercase();
    let name = name.replace(|it: char| !it.is_ascii_alphanumeric(), "-");
    name.trim_matches('-').to_owned()
}

fn plugin(what: &str, targets: &[&str], spec: &Value) -> Value {
    json!({"policies": [{"metadata": {"name": policy_name(what)},
                         "spec": targeting(targets, spec.clone())}],
        "allowOnHeadersStopIteration": true})
}

/// Clients are told nothing of the limits.
fn without_headers() -> Value {
    let mut spec = four();
    let rules = spec["rateLimit"]["local"]["rules"].as_array_mut();
    for rule in rules.into_iter().flatten() {
        rule["xRateLimitHeaders"] = json!("Off");
    }
    spec
}

fn both(what: &'static str, plugin: impl Fn() -> Value) -> Result<Vec<Variant>> {
    let builds = builds(&plugin())?.into_iter();
    Ok(builds
        .map(|(kind, filter)| Variant::quiet(what, kind, vec![filter]))
        .collect())
}

/// The same where the route has a retry policy.
fn both_on(what: &'static str, plugin: impl Fn(&str) -> Value) -> Result<Vec<Variant>> {
    let mut variants = both(what, || plugin(what))?;
    for variant in &mut variants {
        variant.route = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 2}});
    }
    Ok(variants)
}

/// The filter with this plugin configuration, in each build.
pub(crate) fn builds(plugin: &Value) -> Result<[(Kind, Value); 2]> {
    let text = json!({"@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": plugin.to_string()});
    let module = module_filter(&repo::module()?, &text);
    Ok([
        (Kind::Wasm, wasm_filter(plugin, true)?),
        (
            Kind::Module,
            json!({"name": PLUGIN_NAME, "typed_config": module}),
        ),
    ])
}
