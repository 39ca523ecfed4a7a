//! The changes of clusters: on the cluster itself if nobody else sends to it,
//! else on a copy for each policy.

use std::collections::{BTreeMap, BTreeSet};

use super::perform::part_of;
use super::uses::Uses;
use super::{Native, copies};
use crate::apply::placement::Destination;
use crate::envoy::address::Address;
use crate::envoy::model::RouteId;
use crate::translate::Change;

impl Native<'_, '_, '_> {
    /// Performs the changes of clusters; `changes` are those of each
    /// effective spec.
    pub(super) fn on_clusters(&mut self, uses: &Uses, changes: &[Vec<Change>]) {
        let mut owner: BTreeMap<RouteId, usize> = BTreeMap::new();
        for (index, it) in self.effective.iter().enumerate() {
            for (_, route) in &it.routes {
                owner.entry(*route).or_insert(index);
            }
        }
        for route in &uses.by_request {
            if let Some(index) = owner.get(route)
                && let Some(change) = changes[*index].first()
            {
                let route = self.scene.model.route(*route);
                let reason = format!(
                    "cannot be put into force on {}: which cluster it sends to is known only \
                     with the request",
                    route.title()
                );
                let policy = self.effective[*index].policy;
                self.errors.refuse_field(policy, &change.field, reason);
            }
        }
        let mut taken: BTreeSet<String> = uses.places.keys().cloned().collect();
        for (name, routes) in &uses.routes {
            let mut users: BTreeMap<Option<usize>, Vec<&Address>> = BTreeMap::new();
            for (route, address) in routes {
                let index = owner.get(route).copied();
                let index = index.filter(|index| !changes[*index].is_empty());
                users.entry(index).or_default().push(address);
            }
            let is_shared =
                users.len() > 1 || uses.others.contains(name.as_str()) || uses.is_partial;
            for (index, routes) in users {
                let Some(index) = index else { continue };
                self.on_cluster(
                    uses,
                    name,
                    index,
                    &changes[index],
                    is_shared.then_some(routes),
                    &mut taken,
                );
            }
        }
    }

    /// Performs the changes of one spec on a cluster, or on a copy of it for
    /// these routes.
    fn on_cluster(
        &mut self,
        uses: &Uses,
        name: &str,
        index: usize,
        changes: &[Change],
        copy_for: Option<Vec<&Address>>,
        taken: &mut BTreeSet<String>,
    ) {
        let Some(place) = uses.places.get(name) else {
            let reason =
                format!("cannot be put into force: the cluster {name} is not in the configuration");
            let policy = self.effective[index].policy;
            if let Some(change) = changes.first() {
                self.errors.refuse_field(policy, &change.field, reason);
            }
            return;
        };
        let original = copy_for.is_some().then_some(name);
        let (address, name) = match copy_for {
            None => (place.clone(), name.to_owned()),
            Some(routes) => {
                let copy = copies::name(self.scene.policies, self.effective, index, name, taken);
                let policy = &self.scene.policies[self.effective[index].policy];
                let Some(address) = copies::add(self.draft, place, &copy, policy) else {
                    return;
                };
                for route in routes {
                    copies::send(self.draft, route, &copy);
                }
                (address, copy)
            }
        };
        let what = format!("cluster {name}");
        for change in changes {
            let destination = || Destination::Cluster {
                name: name.clone(),
                part: part_of(change),
            };
            self.on_object(index, change, [&address; 2], &what, destination);
        }
        if let (Some(original), Some(copy)) = (original, self.draft.change(&address))
            && copies::keep_host(copy, original)
        {
            self.effective[index].notes.push(format!(
                "{what}: health checks ask for the host {original:?}, as those of the cluster \
                 that it is a copy of"
            ));
        }
        self.warn_of_localities(&address, &name, index);
    }
}
