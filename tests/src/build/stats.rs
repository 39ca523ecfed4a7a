//! Statistics of the module by the names that they have in the .wasm.
//!
//! The .wasm has no labels: they are parts of the name
//! (`btp_engine::Labels::dotted`). Envoy appends the module's labels to the name, and
//! puts the cluster's before it at the upstream position.

/// What Envoy puts before the module's statistics.
pub(crate) const MODULE: &str = "dynamicmodulescustom.";
const WASM: &str = "wasmcustom.";

/// The name in the .wasm of a statistic of the module; `None` if it is not ours.
pub(crate) fn in_wasm(name: &str) -> Option<String> {
    let (scope, family) = name.split_once(MODULE)?;
    if !scope.is_empty() && !scope.starts_with("cluster.") {
        return None;
    }
    let family = family.strip_prefix("btp.")?;
    let Some((family, labels)) = family.split_once(".btp_namespace.") else {
        return Some(format!("{WASM}btp.{family}"));
    };
    let (namespace, labels) = labels.split_once(".btp_policy.")?;
    let label = |name: &str| labels.split_once(&format!(".btp_{name}."));
    if let Some((policy, rule)) = label("rule") {
        let (capability, what) = family.split_once('.')?;
        let (rule, class) = match rule.split_once(".btp_class.") {
            Some((rule, class)) => (rule, format!(".{class}")),
            None => (rule, String::new()),
        };
        return Some(format!(
            "{WASM}btp.{namespace}.{policy}.{capability}.{rule}.{what}{class}"
        ));
    }
    let (policy, whose) = match label("route") {
        // Of a budget, which is a policy's, a route's or a cluster's.
        Some((policy, whose)) => match whose.split_once(".btp_cluster.")? {
            ("", "") => (policy, String::new()),
            ("", cluster) => (policy, format!(".btp_cluster.{cluster}")),
            (route, _) => (policy, format!(".btp_route.{route}")),
        },
        None => (labels, String::new()),
    };
    Some(format!("{WASM}btp.{namespace}.{policy}{whose}.{family}"))
}

#[cfg(test)]
mod tests {
    use super::in_wasm;

    #[test]
    fn labels_become_parts_of_the_name() {
        let names = [
            ("panics", "panics"),
            (
                "fault_active.btp_namespace.default.btp_policy.p",
                "default.p.fault_active",
            ),
            (
                "rate_limit.admitted.btp_namespace.default.btp_policy.a.b.btp_rule.rule-af63bd4c",
                "default.a.b.rate_limit.rule-af63bd4c.admitted",
            ),
            (
                "rate_limit.class_limited.btp_namespace.n.btp_policy.p.btp_rule.r.btp_class.c",
                "n.p.rate_limit.r.class_limited.c",
            ),
            (
                "retry_budget_held.btp_namespace.default.btp_policy.p.btp_route..btp_cluster.a_b",
                "default.p.btp_cluster.a_b.retry_budget_held",
            ),
            (
                "retry_budget_held.btp_namespace.default.btp_policy.p.btp_route.a_b.btp_cluster.",
                "default.p.btp_route.a_b.retry_budget_held",
            ),
            (
                "retry_budget_held.btp_namespace.default.btp_policy.p.btp_route..btp_cluster.",
                "default.p.retry_budget_held",
            ),
        ];
        for (module, wasm) in names {
            let module = format!("dynamicmodulescustom.btp.{module}");
            assert_eq!(in_wasm(&module), Some(format!("wasmcustom.btp.{wasm}")));
        }
        let upstream = "cluster.a.dynamicmodulescustom.btp.panics";
        assert_eq!(in_wasm(upstream).as_deref(), Some("wasmcustom.btp.panics"));
        assert_eq!(in_wasm("cluster.backend.upstream_rq"), None);
    }
}
