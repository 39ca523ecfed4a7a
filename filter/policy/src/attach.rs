//! Which policy governs a request: the one that names its route, else the
//! one without targets.

use std::collections::BTreeMap;

use crate::node::Mark;
use crate::path::Path;
use crate::policy::{DEFAULT_NAMESPACE, Policy};
use crate::problem::Problems;
use crate::scalar::ObjectName;

/// The policies by the routes they govern.
#[derive(Debug, Default)]
pub struct Attachments {
    untargeted: Option<usize>,
    by_route_name: BTreeMap<Vec<u8>, usize>,
}

impl Attachments {
    /// Attaches each policy to its targets. Two policies for one target, and
    /// two without any, are noted as problems.
    pub fn resolve(policies: &[Policy], problems: &mut Problems) -> Self {
        let mut attachments = Self::default();
        let mut owners: BTreeMap<&ObjectName, usize> = BTreeMap::new();
        for (index, policy) in policies.iter().enumerate() {
            if policy.targets.is_empty() {
                if let Some(first) = attachments.untargeted {
                    conflict(policies, index, first, "governs everything", problems);
                    continue;
                }
                attachments.untargeted = Some(index);
            }
            for target in &policy.targets {
                if let Some(first) = owners.insert(&target.route, index) {
                    let what = format!("targets {}", target.route);
                    conflict(policies, index, first, &what, problems);
                    continue;
                }
                for name in envoy_route_names(&target.route) {
                    attachments.by_route_name.insert(name.into_bytes(), index);
                }
            }
        }
        attachments
    }

    /// Whether the governing policy depends on the route at all.
    #[must_use]
    pub fn needs_route_name(&self) -> bool {
        !self.by_route_name.is_empty()
    }

    /// The index of the policy that governs a request on `route`, the name
    /// of the Envoy route; `None` for a request that no route took.
    #[must_use]
    pub fn governing(&self, route: Option<&[u8]>) -> Option<usize> {
        route
            .and_then(|name| self.by_route_name.get(name))
            .copied()
            .or(self.untargeted)
    }
}

/// How an Envoy route may be named to stand for `route`.
fn envoy_route_names(route: &ObjectName) -> Vec<String> {
    let mut names = vec![route.to_string()];
    if route.namespace == DEFAULT_NAMESPACE {
        names.push(route.name.clone());
    }
    names
}

fn conflict(policies: &[Policy], index: usize, first: usize, what: &str, problems: &mut Problems) {
    let root = Path::Root;
    let list = Path::Field(&root, "policies");
    let other = policies.get(first).map(|policy| policy.name.to_string());
    let reason = format!(
        "{what}, and so does {} (policies[{first}]): keep one of them",
        other.unwrap_or_default()
    );
    problems.note(&Path::Item(&list, index), Mark::UNKNOWN, reason);
}
