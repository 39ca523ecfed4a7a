//! Weights of localities that a policy's load balancer does not go by.

use btp_policy::node::{Node, Value};

use super::Native;
use crate::envoy::address::Address;
use crate::envoy::tree::{field, find, items, text};

impl Native<'_, '_, '_> {
    /// Warns where a cluster weighs its localities and the policy in force
    /// there has endpoints chosen without regard to that.
    pub(super) fn warn_of_localities(&mut self, cluster: &Address, name: &str, index: usize) {
        let it = &self.effective[index];
        let balancer = it.spec.field("loadBalancer");
        let (Some(balancer), Some(cluster)) = (balancer, self.draft.at(cluster)) else {
            return;
        };
        if !ignores_weights(balancer) || !has_weights(cluster) {
            return;
        }
        let kind = text(balancer, "type").unwrap_or_default();
        let reason = format!(
            "does not go by the weights that cluster {name} gives its localities: type {kind} \
             chooses among the endpoints of all of them; name the zones in \
             zoneAware.weightedZones, or choose RoundRobin, LeastRequest or Random"
        );
        self.errors.advise(it.policy, "spec.loadBalancer", reason);
    }
}

/// With `preferLocal` that is the point of it.
fn ignores_weights(balancer: &Node) -> bool {
    let kind = text(balancer, "type").unwrap_or_default();
    let zones = find(balancer, &["zoneAware", "weightedZones"]);
    matches!(kind, "ConsistentHash" | "BackendUtilization") && zones.is_none()
}

fn has_weights(cluster: &Node) -> bool {
    let Some(assignment) = field(cluster, "load_assignment") else {
        return false;
    };
    let localities = items(assignment, "endpoints");
    let weight = |it: &Node| match field(it, "load_balancing_weight").map(|it| &it.value) {
        Some(Value::Int(weight)) => Some(*weight),
        _ => None,
    };
    let mut weights = localities.iter().map(weight);
    let first = weights.next().flatten();
    weights.any(|it| it != first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    #[test]
    fn weights_that_differ_count() {
        for (weights, expected) in [
            (r#"{},{}"#, false),
            (r#"{"load_balancing_weight":5}"#, false),
            (
                r#"{"load_balancing_weight":5},{"loadBalancingWeight":5}"#,
                false,
            ),
            (
                r#"{"load_balancing_weight":5},{"loadBalancingWeight":95}"#,
                true,
            ),
            (r#"{"load_balancing_weight":5},{}"#, true),
        ] {
            let cluster = format!(r#"{{"load_assignment":{{"endpoints":[{weights}]}}}}"#);
            let cluster = json::parse(cluster.as_bytes()).unwrap();
            assert_eq!(has_weights(&cluster), expected, "{weights}");
        }
    }
}
