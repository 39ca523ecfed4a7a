//! `sessionPersistence`: a client has a session with each cluster, and routes have those of
//! the Services that they send to.

use std::borrow::Cow;
use std::collections::BTreeSet;

use btp_policy::hash::fnv1a;

use super::Native;
use crate::apply::plan::perform::Changed;
use crate::apply::services::{SESSION_PERSISTENCE, native_part, overridden};
use crate::apply::uses::{Uses, clusters_named_by};
use crate::envoy::address::Address;
use crate::envoy::model::{RouteId, Sender};
use crate::envoy::tree::{field, find};
use crate::translate::{Change, Context, Target, rename_cookie, translate};

impl Native<'_, '_, '_> {
    /// A change of a route, with a cookie of its clusters' own if the policy names none: a
    /// client of several clusters keeps an endpoint of each, as cookies of one name would
    /// replace each other.
    pub(super) fn with_own_cookie<'c>(
        &self,
        index: usize,
        route: RouteId,
        change: &'c Change,
    ) -> Cow<'c, Change> {
        let address = &self.scene.model.route(route).address;
        let route = self.draft.before(address);
        let clusters = route.map(clusters_named_by).unwrap_or_default();
        self.cookie_of(index, &clusters, change)
    }

    fn cookie_of<'c>(
        &self,
        index: usize,
        clusters: &BTreeSet<&str>,
        change: &'c Change,
    ) -> Cow<'c, Change> {
        let spec = &self.effective[index].spec;
        let is_named = find(spec, &[SESSION_PERSISTENCE, "cookie", "name"]).is_some();
        if is_named || clusters.is_empty() {
            return Cow::Borrowed(change);
        }
        let hash = clusters
            .iter()
            .fold(0, |hash, name| fnv1a(hash, name.as_bytes()));
        match rename_cookie(change, &format!("{:08x}", hash >> 32)) {
            Some(renamed) => Cow::Owned(renamed),
            None => Cow::Borrowed(change),
        }
    }

    /// Puts sessions of Services on what routes say of the clusters that are these, where no
    /// policy of a route has its own.
    pub(super) fn keep_sessions_of_services(&mut self, uses: &Uses) {
        for index in 0..self.effective.len() {
            let it = &self.effective[index];
            let policy = &self.scene.policies[it.policy];
            let part = native_part(&it.spec);
            if !policy.is_of_services() || field(&part, SESSION_PERSISTENCE).is_none() {
                continue;
            }
            let context = Context {
                policy: Some(&policy.name),
                ..Context::default()
            };
            let changes = self.refuse_merged(index, translate(&part, &context));
            let places = self.session_places(index, uses);
            let managers: BTreeSet<usize> = places.iter().map(|it| it.manager).collect();
            for change in changes.iter().flatten() {
                if change.target == Target::HttpConnectionManager {
                    for manager in &managers {
                        self.perform(index, change, &Changed::manager(self.scene, *manager));
                    }
                    continue;
                }
                for it in &places {
                    let own = self.cookie_of(index, &[it.cluster.as_str()].into(), change);
                    let route = Changed::route_to(self.scene, it.route, &it.name);
                    self.perform(index, &own, &route);
                }
            }
        }
    }

    /// Where routes name the clusters of a policy's Services.
    fn session_places(&mut self, index: usize, uses: &Uses) -> Vec<ClusterUse> {
        let it = &self.effective[index];
        let (mut places, mut notes) = (Vec::new(), BTreeSet::new());
        for (manager, route) in &it.sends {
            let own = overridden(self.effective, it, *manager, *route);
            if own.iter().any(|(field, _)| *field == SESSION_PERSISTENCE) {
                continue;
            }
            if uses.by_request.contains(route) {
                notes.insert(format!(
                    "route {}: sessionPersistence is not in force there, because each request \
                     names the cluster: set it in a BackendTrafficPolicy of the route",
                    self.scene.model.route(*route).title()
                ));
            }
            for cluster in it.clusters.keys() {
                let senders = uses.senders.get(cluster).into_iter().flatten();
                let own = senders.filter(|(sender, _)| *sender == Sender::Route(*route));
                places.extend(own.map(|(_, name)| ClusterUse {
                    manager: *manager,
                    route: *route,
                    cluster: cluster.clone(),
                    name: name.clone(),
                }));
            }
        }
        self.effective[index].notes.extend(notes);
        places
    }
}

/// Where a route names a cluster.
struct ClusterUse {
    /// The connection manager that the route is reached through.
    manager: usize,
    route: RouteId,
    cluster: String,
    /// The place of the cluster's name.
    name: Address,
}
