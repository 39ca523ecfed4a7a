//! The clusters of Services with retry budgets: Envoy's own limit on retries must not be
//! lower than these, nor lower than the value from a policy of a route.

use std::borrow::Cow;
use std::collections::BTreeSet;

use btp_policy::attach::Cluster;
use btp_policy::node::Node;

use super::Native;
use crate::apply::effective::Effective;
use crate::apply::plan::perform::Changed;
use crate::apply::services::{backends, says_objects};
use crate::apply::uses::Uses;
use crate::envoy::json::{IntoNode, list};
use crate::envoy::tree::{field, find};
use crate::translate::{Change, Operation, Path, Target, lifted_retries, without_default_retries};

impl Native<'_, '_, '_> {
    /// The Services with policies that a cluster is by its name.
    pub(super) fn services_of(&self, cluster: &str) -> Vec<String> {
        let attached = self.scene.attached.iter();
        let found: BTreeSet<&String> = attached
            .filter_map(|it| {
                let cluster = Cluster::named(cluster.as_bytes());
                let index = it.attachments.service_of(&cluster)?;
                Some(&it.attachments.services()[index].service)
            })
            .collect();
        found.into_iter().cloned().collect()
    }

    /// The changes of a cluster without the bound on retries that a policy has where it says
    /// none, if the cluster is a Service with a budget.
    pub(super) fn for_services<'c>(
        &self,
        index: usize,
        cluster: &str,
        changes: &'c [Change],
    ) -> Cow<'c, [Change]> {
        let has_budget = |it: &Effective| {
            it.clusters.contains_key(cluster) && field(&it.spec, "retryConstraint").is_some()
        };
        let said = ["circuitBreaker", "maxParallelRetries"];
        let says_bound = find(&self.effective[index].spec, &said).is_some();
        if says_bound || !self.effective.iter().any(has_budget) {
            return Cow::Borrowed(changes);
        }
        Cow::Owned(changes.iter().filter_map(without_default_retries).collect())
    }

    /// Lifts the bound on the clusters of all Services with a budget, before any of them is
    /// copied.
    pub(super) fn lift_retries_of_services(&mut self, uses: &Uses) {
        for index in 0..self.effective.len() {
            let it = &self.effective[index];
            if field(&it.spec, "retryConstraint").is_none() {
                continue;
            }
            let clusters: Vec<String> = it.clusters.keys().cloned().collect();
            for name in &clusters {
                let (Some(place), Some(senders)) = (uses.places.get(name), uses.senders.get(name))
                else {
                    continue;
                };
                let senders = senders.iter().map(|(sender, _)| *sender).collect();
                let cluster = Changed::cluster(name, senders, place);
                self.perform(index, &lifted_retries(), &cluster);
                let found = self.draft.at(place).filter(|it| says_objects(it));
                let texts = found.map(|it| list(backends(it).iter().map(IntoNode::into_node)));
                if let Some(texts) = texts {
                    self.perform(index, &named_backends(texts), &cluster);
                }
            }
        }
    }
}

/// The Services of a cluster as texts: of its metadata the module can read no objects.
fn named_backends(texts: Node) -> Change {
    Change {
        field: "spec.retryConstraint".to_owned(),
        also: Vec::new(),
        target: Target::Cluster,
        path: Path::from("metadata.filter_metadata.btp.backends"),
        operation: Operation::Set(texts),
    }
}
