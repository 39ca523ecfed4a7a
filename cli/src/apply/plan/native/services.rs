//! The clusters of Services with retry budgets: Envoy's own bound on retries must not cut
//! in below these, nor below what a policy of a route makes of it.

use std::collections::BTreeSet;

use btp_policy::attach::Cluster;

use super::Native;
use crate::apply::plan::perform::Changed;
use crate::apply::uses::Uses;
use crate::envoy::tree::field;
use crate::translate::lifted_retries;

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

    /// Lifts the bound on the clusters of all Services with a budget, before any of them is
    /// copied.
    pub(super) fn on_services(&mut self, uses: &Uses) {
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
            }
        }
    }
}
