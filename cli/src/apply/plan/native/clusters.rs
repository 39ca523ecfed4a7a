//! The changes of clusters: on the cluster itself if nobody else sends to it,
//! else on a copy for each policy.

use std::collections::{BTreeMap, BTreeSet};

use super::uses::Uses;
use super::{Native, copies};
use crate::apply::plan::perform::Changed;
use crate::envoy::address::Address;
use crate::envoy::model::RouteId;
use crate::translate::Change;

/// The routes of a policy to a cluster, and where its name stands in each.
type Users<'a> = Vec<(RouteId, &'a Address)>;

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
            let mut users: BTreeMap<Option<usize>, Users<'_>> = BTreeMap::new();
            for (route, address) in routes {
                let index = owner.get(route).copied();
                let index = index.filter(|index| !changes[*index].is_empty());
                users.entry(index).or_default().push((*route, address));
            }
            let is_shared =
                users.len() > 1 || uses.others.contains(name.as_str()) || uses.is_partial;
            for (index, routes) in users {
                let Some(index) = index else { continue };
                let Some(place) = uses.places.get(name) else {
                    self.refuse_unknown(index, name, &changes[index]);
                    continue;
                };
                let changes = &changes[index];
                if is_shared {
                    self.on_copy(index, changes, (name, place), &routes, &mut taken);
                } else {
                    self.on_cluster(index, changes, name, place, &routes);
                }
            }
        }
    }

    fn refuse_unknown(&mut self, index: usize, cluster: &str, changes: &[Change]) {
        let reason =
            format!("cannot be put into force: the cluster {cluster} is not in the configuration");
        if let Some(change) = changes.first() {
            let policy = self.effective[index].policy;
            self.errors.refuse_field(policy, &change.field, reason);
        }
    }

    /// Makes the changes of one spec on a copy of a cluster, to which these routes
    /// are sent then.
    fn on_copy(
        &mut self,
        index: usize,
        changes: &[Change],
        (original, place): (&str, &Address),
        routes: &Users<'_>,
        taken: &mut BTreeSet<String>,
    ) {
        let name = copies::name(self.scene.policies, self.effective, index, original, taken);
        let policy = &self.scene.policies[self.effective[index].policy];
        let Some(address) = copies::add(self.draft, place, &name, policy) else {
            return;
        };
        for (_, place) in routes {
            copies::send(self.draft, place, &name);
        }
        let with_host = |it: &Change| copies::with_host(it, original);
        let changes: Vec<Change> = changes.iter().map(with_host).collect();
        self.on_cluster(index, &changes, &name, &address, routes);
        let copy = self.draft.at(&address);
        if copy.is_some_and(|copy| copies::asks_for(copy, original)) {
            self.effective[index].notes.push(format!(
                "cluster {name}: health checks ask for the host {original:?}, as those of the \
                 cluster that it is a copy of"
            ));
        }
    }

    /// Makes the changes of one spec on a cluster that serves these routes alone.
    fn on_cluster(
        &mut self,
        index: usize,
        changes: &[Change],
        name: &str,
        address: &Address,
        routes: &Users<'_>,
    ) {
        let routes = routes.iter().map(|(route, _)| *route).collect();
        let cluster = Changed::cluster(name, routes, address);
        for change in changes {
            self.perform(index, change, &cluster);
        }
        self.warn_of_localities(address, name, index);
    }
}
