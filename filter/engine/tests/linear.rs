//! Judging a document, or compiling it, costs in proportion to its size: the
//! canary does it on Envoy's main thread. Processor time of this thread, in
//! ratios within one run.

#![cfg(target_os = "linux")]

use std::fmt::Write;
use std::fs;

use btp_engine::Plan;
use btp_policy::{PluginConfig, Problems};

/// Nanoseconds that this thread has run.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn judge(text: &str) -> f64 {
    let before = cpu();
    match PluginConfig::parse(text.as_bytes()) {
        Ok(config) => drop(Plan::compile(config)),
        Err(problems) => assert!(problems.len() <= Problems::MOST + 1),
    }
    cpu() - before
}

/// A square would cost ten times as much as ten documents of a tenth; what a
/// processor's caches do not hold any more costs up to twice.
const MOST: f64 = 3.0;

/// A document ten times as large costs at most `most` times what ten documents cost. A
/// disturbed round only costs more, so the cheapest counts.
#[track_caller]
fn costs_at_most(most: f64, document: impl Fn(usize) -> String, size: usize) {
    const ROUNDS: usize = 4;
    let (small, large) = (document(size), document(10 * size));
    let cheapest = |text: &str, times: usize| {
        let round = |_| (0..times).map(|_| judge(text)).sum::<f64>();
        (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
    };
    let (ten_small, one_large) = (cheapest(&small, 10), cheapest(&large, 1));
    assert!(
        one_large < most * ten_small,
        "ten of {size}: {:.1} ms, one of {}: {:.1} ms",
        ten_small / 1e6,
        10 * size,
        one_large / 1e6
    );
}

#[track_caller]
fn is_linear(document: impl Fn(usize) -> String, size: usize) {
    costs_at_most(MOST, document, size);
}

fn joined(count: usize, item: impl Fn(usize) -> String) -> String {
    let mut all = String::new();
    for index in 0..count {
        let comma = if index > 0 { "," } else { "" };
        write!(all, "{comma}{}", item(index)).unwrap();
    }
    all
}

fn policies(count: usize, spec: impl Fn(usize) -> String) -> String {
    let policy = |index| {
        format!(
            r#"{{"metadata":{{"name":"p{index}"}},"spec":{{"targetRefs":[{{"group":
            "gateway.networking.k8s.io","kind":"HTTPRoute","name":"r{index}"}}],{}}}}}"#,
            spec(index)
        )
    };
    format!(r#"{{"policies":[{}]}}"#, joined(count, policy))
}

fn one_policy(spec: &str) -> String {
    format!(r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{spec}}}]}}"#)
}

#[test]
fn unknown_keys() {
    let spec = |count| {
        one_policy(&format!(
            "{{{}}}",
            joined(count, |it| format!(r#""x{it}":1"#))
        ))
    };
    // Each costs 1.2 times as much at most, by the tenth.
    costs_at_most(1.2, spec, 10_000);
}

#[test]
fn the_same_key_again_and_again() {
    let spec = |count| {
        one_policy(&format!(
            "{{{}}}",
            joined(count, |_| r#""retry":{}"#.to_owned())
        ))
    };
    is_linear(spec, 10_000);
}

#[test]
fn labels_and_config_maps() {
    let labels = |count| {
        let labels = joined(count, |it| format!(r#""l{it}":"v""#));
        format!(
            r#"{{"policies":[],"gateway":{{"name":"g","labels":{{{labels}}}}},
            "configMaps":[{{"metadata":{{"name":"m"}},"data":{{{labels}}}}}]}}"#
        )
    };
    is_linear(labels, 10_000);
}

#[test]
fn merged_objects_of_many_keys() {
    let document = |count| {
        let tags = joined(count, |it| format!(r#""t{it}":1"#));
        let spec = format!(r#""mergeType":"StrategicMerge","telemetry":{{{tags}}}"#);
        format!(
            r#"{{"nativeFields":"Applied","policies":[{{"metadata":{{"name":"g"}},"spec":
            {{"targetRefs":[{{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"}}],
            "telemetry":{{{tags}}}}}}},{{"metadata":{{"name":"r"}},"spec":{{"targetRefs":[{{"group":
            "gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}}],{spec}}}}}]}}"#
        )
    };
    is_linear(document, 3_000);
}

#[test]
fn rules_of_many_policies() {
    let rule = |it| {
        format!(
            r#"{{"clientSelectors":[{{"headers":[{{"name":"x-a","value":"{it}"}}]}}],
            "limit":{{"requests":1,"unit":"Hour"}},"concurrency":{{"max":9}}}}"#
        )
    };
    let rules = joined(15, rule);
    let spec = format!(r#""rateLimit":{{"type":"Local","local":{{"rules":[{rules}]}}}}"#);
    is_linear(|count| policies(count, |_| spec.clone()), 120);
}

#[test]
fn operators_of_one_policy() {
    let operators = |count| {
        let body = (0..count).map(|it| format!("%REQ(x-{it})% "));
        let bodies: Vec<String> = body.collect();
        let rule = |it: usize| {
            let inline = bodies.iter().skip(it * 1_000).take(1_000).cloned();
            format!(
                r#"{{"match":{{"statusCodes":[{{"value":500}}]}},"response":{{"contentType":"text/plain",
                "body":{{"type":"Inline","inline":"{}"}}}}}}"#,
                inline.collect::<String>()
            )
        };
        one_policy(&format!(
            r#"{{"responseOverride":[{}]}}"#,
            joined(count / 1_000, rule)
        ))
    };
    is_linear(operators, 1_000);
}

#[test]
fn problems_of_many_policies() {
    is_linear(
        |count| {
            policies(count, |it| {
                format!(r#""requestBuffer":{{"limit":"x{it}"}}"#)
            })
        },
        1_000,
    );
}

#[test]
fn long_lists_and_deep_nesting() {
    is_linear(
        |count| {
            one_policy(&format!(
                r#"{{"targetRefs":[{}]}}"#,
                joined(count, |_| "{}".to_owned())
            ))
        },
        3_000,
    );
    let nested = format!("{}{}", "[".repeat(120), "]".repeat(120));
    is_linear(
        |count| format!(r#"{{"policies":[{}]}}"#, joined(count, |_| nested.clone())),
        300,
    );
}

#[test]
fn distributions_of_many_policies() {
    let spec = |it| {
        format!(
            r#""faultInjection":{{"delay":{{"distribution":{{"exponential":{{"mean":"{}ms"}}}}}}}}"#,
            1 + it % 50
        )
    };
    is_linear(|count| policies(count, spec), 200);
}
