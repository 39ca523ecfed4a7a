//! Names of both builds.

use proptest::prelude::*;

use super::*;

/// A name, and what is read of it: build, policy, capability, part, family.
const NAMES: &[(&str, &str)] = &[
    (
        "wasmcustom.btp.default.p.rate_limit.rule_0.admitted",
        "Wasm default/p rateLimit Rule(\"rule_0\") admitted",
    ),
    (
        "wasmcustom.btp._others.others.rate_limit.others.limited",
        "Wasm _others/others rateLimit Rule(\"others\") limited",
    ),
    (
        "wasmcustom.btp.shop.orders.v1.example.rate_limit.per-minute.class_limited.gold",
        "Wasm shop/orders.v1.example rateLimit Rule(\"per-minute\") class_limited.gold",
    ),
    (
        "wasmcustom.btp.default.p.rate_limit.r.debug_store_operations",
        "Wasm default/p rateLimit Rule(\"r\") debug_store_operations (debug)",
    ),
    (
        "wasmcustom.btp.default.a.b.response_override.0.responses_overridden",
        "Wasm default/a.b responseOverride Rule(\"0\") responses_overridden",
    ),
    (
        "wasmcustom.btp.default.p.responses_overridden",
        "Wasm default/p responseOverride Whole responses_overridden",
    ),
    (
        "wasmcustom.btp.default.p.request_values_too_long",
        "Wasm default/p responseOverride Whole request_values_too_long",
    ),
    (
        "wasmcustom.btp.default.p.fault_active",
        "Wasm default/p faultInjection Whole fault_active",
    ),
    (
        "wasmcustom.btp.default.a.b.request_buffer_bytes",
        "Wasm default/a.b requestBuffer Whole request_buffer_bytes",
    ),
    (
        "wasmcustom.btp.default.p.retry_budget_requests",
        "Wasm default/p retryConstraint Whole retry_budget_requests",
    ),
    (
        "wasmcustom.btp.default.p.btp_route.a.b_c.rate_limit.x.retry_budget_refused",
        "Wasm default/p retryConstraint Route(\"a.b_c.rate_limit.x\") retry_budget_refused",
    ),
    (
        "wasmcustom.btp.default.p.q.btp_cluster.a.b.retry_budget_debug_held",
        "Wasm default/p.q retryConstraint Cluster(\"a.b\") retry_budget_debug_held (debug)",
    ),
    (
        "wasmcustom.btp.default.p.btp_route..retry_budget_balance",
        "Wasm default/p retryConstraint Route(\"\") retry_budget_balance",
    ),
    (
        "cluster.back.end.wasmcustom.btp.default.p.fault_overflow",
        "Wasm default/p faultInjection Whole fault_overflow",
    ),
    (
        "http.in.gress.wasmcustom.btp.default.p.fault_overflow",
        "Wasm default/p faultInjection Whole fault_overflow",
    ),
    // Those of another release.
    (
        "wasmcustom.btp.default.p.bandwidth_limit.r.delayed",
        "Wasm default/p bandwidthLimit Rule(\"r\") delayed",
    ),
    (
        "wasmcustom.btp.default.p.made_up",
        "Wasm default/p other Whole made_up",
    ),
    ("wasmcustom.btp.vm_memory_bytes.3", "Wasm vm_memory_bytes.3"),
    ("wasmcustom.btp.panics", "Wasm panics"),
    ("dynamicmodulescustom.btp.panics", "Module panics"),
    (
        "dynamicmodulescustom.btp.fault_active.btp_namespace.default.btp_policy.p",
        "Module default/p faultInjection Whole fault_active",
    ),
    (
        "dynamicmodulescustom.btp.rate_limit.admitted.btp_namespace.n.btp_policy.a.b.btp_rule.r",
        "Module n/a.b rateLimit Rule(\"r\") admitted",
    ),
    (
        "cluster.a.dynamicmodulescustom.btp.rate_limit.class_limited.btp_namespace.n\
         .btp_policy.p.btp_rule.r.btp_class.c",
        "Module n/p rateLimit Rule(\"r\") class_limited.c",
    ),
    (
        "dynamicmodulescustom.btp.rate_limit.debug_store_operations.btp_namespace.n\
         .btp_policy.p.btp_rule.r",
        "Module n/p rateLimit Rule(\"r\") debug_store_operations (debug)",
    ),
    (
        "dynamicmodulescustom.btp.retry_budget_held.btp_namespace.d.btp_policy.p\
         .btp_route..btp_cluster.a.b",
        "Module d/p retryConstraint Cluster(\"a.b\") retry_budget_held",
    ),
    (
        "dynamicmodulescustom.btp.retry_budget_held.btp_namespace.d.btp_policy.p\
         .btp_route.a.b.btp_cluster.",
        "Module d/p retryConstraint Route(\"a.b\") retry_budget_held",
    ),
    (
        "dynamicmodulescustom.btp.retry_budget_held.btp_namespace.d.btp_policy.p\
         .btp_route..btp_cluster.",
        "Module d/p retryConstraint Whole retry_budget_held",
    ),
];

fn read(name: &str) -> String {
    match Stat::parse(name).expect(name) {
        Stat::Process(build, name) => format!("{build:?} {name}"),
        Stat::Policy(it) => {
            let Owner {
                namespace,
                policy,
                capability,
                part,
            } = &it.owner;
            let debug = if it.is_debug { " (debug)" } else { "" };
            let (build, name) = (it.build, capability.name());
            format!(
                "{build:?} {namespace}/{policy} {name} {part:?} {}{debug}",
                it.what
            )
        }
    }
}

#[test]
fn names_of_both_builds_say_who_counts_what() {
    for (name, wanted) in NAMES {
        assert_eq!(&read(name), wanted, "{name}");
    }
}

#[test]
fn what_is_not_the_filters_is_left_out() {
    for name in [
        "cluster.backend.upstream_rq_total",
        "cluster.dynamicmodulescustom.btpx.panics",
        "wasmcustom.other.default.p.fault_active",
        "listener.x.wasmcustom.btp.default.p.fault_active",
        "wasmcustom.btp.",
        "wasmcustom.btp.default.p",
        "wasmcustom.btp.default.fault_active",
        "wasmcustom.btp.default.p.btp_route.x",
        "",
    ] {
        assert_eq!(Stat::parse(name), None, "{name}");
    }
}

#[test]
fn gauges_are_known_by_their_names() {
    for (what, wanted) in [
        ("in_flight", true),
        ("retry_budget_balance", true),
        ("retry_budget_debug_min_held", true),
        ("fault_active", true),
        ("request_buffer_bytes", true),
        ("admitted", false),
        ("retry_budget_requests", false),
        ("request_buffer_overflows", false),
    ] {
        assert_eq!(is_gauge(what), wanted, "{what}");
    }
}

proptest! {
    /// The same in both builds, whatever a route is called.
    #[test]
    fn any_route_is_read_as_it_is(route in "\\PC{0,12}(\\.|_|a|btp_route\\.){0,6}") {
        let part = Part::Route(route.clone());
        let names = [
            format!("wasmcustom.btp.n.p.q.btp_route.{route}.retry_budget_refused"),
            format!(
                "dynamicmodulescustom.btp.retry_budget_refused.btp_namespace.n\
                 .btp_policy.p.q.btp_route.{route}.btp_cluster."
            ),
        ];
        for name in names {
            let Some(Stat::Policy(series)) = Stat::parse(&name) else {
                panic!("{name}");
            };
            // The module has a label for each, of which one is empty.
            if !(series.build == Build::Module && route.is_empty()) {
                prop_assert_eq!(&series.owner.part, &part);
            }
            prop_assert_eq!(series.owner.policy, "p.q");
            prop_assert_eq!(series.what, "retry_budget_refused");
        }
    }

    #[test]
    fn no_name_is_too_odd(
        parts in proptest::collection::vec(
            "wasmcustom|dynamicmodulescustom|btp|btp_[a-z]{4,9}|rate_limit|cluster|\\PC{0,3}",
            0..9,
        )
    ) {
        let _ = Stat::parse(&parts.join("."));
    }
}
