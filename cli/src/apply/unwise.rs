//! Fields of policies without effect in a configuration, though nothing fails: load
//! balancers that ignore weights of localities, sessions and traces without a result, and
//! fields for HTTP alone where a policy has no HTTP traffic.

mod sessions;
mod tracing;

use std::collections::BTreeSet;

use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::path::FieldPath;
use btp_policy::problem::Problem;

use super::effective::Effective;
use super::uses::Uses;
use crate::diagnostics::{Finding, Location};
use crate::documents::Input;
use crate::envoy::files::Config;
use crate::envoy::model::{Model, Sender};
use crate::envoy::tree::{field, find, items, text};

/// Something unwise about a field of a policy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unwise {
    pub(super) policy: usize,
    /// The field, from `spec` on.
    pub(super) path: FieldPath,
    pub(super) code: Code,
    pub(super) reason: String,
}

impl Unwise {
    /// As a finding in the file of its policy.
    pub(crate) fn finding(self, input: &Input) -> Finding {
        let object = &input.policies[self.policy];
        let mark = self.path.closest(&object.node).mark;
        let problem = Problem::new(self.path, self.code, self.reason).at(mark);
        Finding::warning(problem, Location::File(object.source))
    }
}

/// What is unwise under these policies in a configuration.
pub(crate) fn find_all(config: &Config, model: &Model, effective: &[Effective]) -> Vec<Unwise> {
    let uses = Uses::read(config, model);
    let mut found = Vec::new();
    for it in effective {
        let routes = it.routes.iter().map(|(_, id)| Sender::Route(*id));
        let proxies = it.l4_proxies.iter().map(|it| Sender::L4Proxy(*it));
        let senders: BTreeSet<Sender> = routes.chain(proxies).collect();
        let Some(balancer) = it.spec.field("loadBalancer") else {
            continue;
        };
        for (name, cluster) in uses.clusters_of(&senders) {
            if let Some(cluster) = config.at(cluster)
                && let Some(reason) = ignores_weights(balancer, name, cluster)
            {
                found.push(Unwise {
                    policy: it.policy,
                    path: "spec.loadBalancer".into(),
                    code: Code::IgnoredWeights,
                    reason,
                });
            }
        }
    }
    found.extend(tracing::untraced(config, model, effective));
    found.extend(sessions::lost(config, model, &uses, effective));
    found.extend(for_http_only(model, effective));
    found.extend(beside_others(model, effective));
    found
}

/// Proxies whose connections another filter may send elsewhere.
fn beside_others(model: &Model, effective: &[Effective]) -> Vec<Unwise> {
    let mut found = Vec::new();
    for it in effective {
        let proxies = it.l4_proxies.iter().map(|it| &model.l4_proxies[*it]);
        for proxy in proxies {
            let Some(filter) = &proxy.chosen_by else {
                continue;
            };
            found.push(Unwise {
                policy: it.policy,
                path: "spec".into(),
                code: Code::ChosenByFilter,
                reason: format!(
                    "applies on {} only to the clusters in its configuration: {filter} may choose \
                     others for each connection",
                    proxy.title()
                ),
            });
        }
    }
    found
}

/// Fields that hold for HTTP only, of policies that govern no HTTP.
fn for_http_only(model: &Model, effective: &[Effective]) -> Vec<Unwise> {
    let governs_http = |policy: usize| {
        let mut own = effective.iter().filter(|it| it.policy == policy);
        own.any(|it| !it.routes.is_empty() || !it.default_for.is_empty())
    };
    let mut found: Vec<Unwise> = Vec::new();
    for it in effective.iter().filter(|it| !governs_http(it.policy)) {
        for (proxy, unmet) in &it.unmet {
            let path = FieldPath::written(&format!("spec.{}", unmet.field));
            let holds = it.l4_proxies.iter().any(|other| {
                let here = |(index, that): &(usize, _)| index == other && *that == *unmet;
                !it.unmet.iter().any(here)
            });
            if holds
                || found
                    .iter()
                    .any(|known| known.path == path && known.policy == it.policy)
            {
                continue;
            }
            let proxy = model.l4_proxies[*proxy].title();
            found.push(Unwise {
                policy: it.policy,
                path,
                code: Code::HttpOnly,
                reason: format!("has no effect on {proxy}: {}", unmet.reason),
            });
        }
    }
    found
}

/// Why a balancer ignores the weights of a cluster's localities, if it has some.
fn ignores_weights(balancer: &Node, name: &str, cluster: &Node) -> Option<String> {
    let kind = text(balancer, "type").unwrap_or_default();
    (chooses_among_all(balancer) && has_weights(cluster)).then(|| {
        format!(
            "ignores the weights that cluster {name} gives its localities: type {kind} chooses \
             among the endpoints of all localities; list the zones in zoneAware.weightedZones, or \
             use RoundRobin, LeastRequest or Random"
        )
    })
}

/// With `preferLocal` that is the point of it.
fn chooses_among_all(balancer: &Node) -> bool {
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
