//! The changes of clusters: on the cluster itself if it has no other senders, else on a
//! copy for each policy.

use std::collections::{BTreeMap, BTreeSet};

use super::l4::{OfClusters, Traffic, traffic_of};
use super::{Native, copies};
use crate::apply::plan::perform::Changed;
use crate::apply::uses::Uses;
use crate::envoy::address::Address;
use crate::envoy::l4::L4;
use crate::envoy::model::Sender;
use crate::translate::Change;
use btp_policy::Code;
use btp_policy::path::FieldPath;

/// The senders to a cluster under a policy, each with the address of the cluster's name in
/// it.
type Users<'a> = Vec<(Sender, &'a Address)>;

impl Native<'_, '_, '_> {
    /// Performs the changes of clusters; `changes` are those of each
    /// effective spec.
    pub(super) fn on_clusters(&mut self, uses: &Uses, changes: &[OfClusters]) {
        let owners = self.owners();
        for route in &uses.by_request {
            if let Some(index) = owners.get(&Sender::Route(*route))
                && let Some(change) = changes[*index].http.first()
            {
                let route = self.scene.model.route(*route);
                let reason = format!(
                    "cannot be put into force on {}: each request chooses its cluster",
                    route.title()
                );
                let policy = self.effective[*index].policy;
                self.errors.refuse_field(
                    policy,
                    FieldPath::written(&change.field),
                    Code::ClusterByRequest,
                    reason,
                );
            }
        }
        let mut taken: BTreeSet<String> = uses.places.keys().cloned().collect();
        for (name, senders) in &uses.senders {
            let users = self.users(senders, &owners, changes);
            let is_shared =
                users.len() > 1 || uses.others.contains(name.as_str()) || uses.is_partial;
            for (user, senders) in users {
                let Some((index, traffic)) = user else {
                    continue;
                };
                let changes = changes[index].of(traffic);
                let changes = &*self.for_services(index, name, changes);
                let Some(place) = uses.places.get(name) else {
                    self.refuse_unknown(index, name, changes);
                    continue;
                };
                if is_shared {
                    self.on_copy(index, changes, (name, place), &senders, &mut taken);
                } else {
                    self.on_cluster(index, changes, name, place, &senders);
                }
            }
        }
    }

    /// The spec that governs each sender.
    fn owners(&self) -> BTreeMap<Sender, usize> {
        let mut owners = BTreeMap::new();
        for (index, it) in self.effective.iter().enumerate() {
            let routes = it.routes.iter().map(|(_, id)| Sender::Route(*id));
            let proxies = it.l4_proxies.iter().map(|it| Sender::L4Proxy(*it));
            for sender in routes.chain(proxies) {
                owners.entry(sender).or_insert(index);
            }
        }
        owners
    }

    /// The senders to one cluster, by their changes; `None`: no changes.
    fn users<'u>(
        &self,
        senders: &'u [(Sender, Address)],
        owners: &BTreeMap<Sender, usize>,
        changes: &[OfClusters],
    ) -> BTreeMap<Option<(usize, Traffic)>, Users<'u>> {
        let mut users: BTreeMap<Option<(usize, Traffic)>, Users<'u>> = BTreeMap::new();
        for (sender, address) in senders {
            let traffic = traffic_of(self.scene.model, *sender);
            let user = owners.get(sender).map(|index| (*index, traffic));
            let user = user.filter(|(index, traffic)| !changes[*index].of(*traffic).is_empty());
            users.entry(user).or_default().push((*sender, address));
        }
        let with_http: Vec<(usize, L4)> = users
            .keys()
            .flatten()
            .filter_map(|(index, traffic)| Some((*index, (*traffic)?)))
            .filter(|(index, _)| users.contains_key(&Some((*index, None))))
            .filter(|(index, l4)| changes[*index].are_met_by_http(*l4))
            .collect();
        for (index, l4) in with_http {
            let own = users.remove(&Some((index, Some(l4)))).unwrap_or_default();
            users.entry(Some((index, None))).or_default().extend(own);
        }
        users
    }

    fn refuse_unknown(&mut self, index: usize, cluster: &str, changes: &[Change]) {
        let reason =
            format!("cannot be put into force: the cluster {cluster} is not in the configuration");
        if let Some(change) = changes.first() {
            let policy = self.effective[index].policy;
            self.errors.refuse_field(
                policy,
                FieldPath::written(&change.field),
                Code::UnknownCluster,
                reason,
            );
        }
    }

    /// Makes the changes of one spec on a copy of a cluster, to which these send
    /// then.
    fn on_copy(
        &mut self,
        index: usize,
        changes: &[Change],
        (original, place): (&str, &Address),
        senders: &Users<'_>,
        taken: &mut BTreeSet<String>,
    ) {
        let name = copies::name(self.scene.policies, self.effective, index, original, taken);
        let policy = &self.scene.policies[self.effective[index].policy];
        let services = self.services_of(original);
        let address = match copies::add(self.draft, place, &name, policy, &services) {
            Ok(Some(address)) => address,
            Ok(None) => return,
            Err(wrong) => return self.errors.wrong_kind(self.draft.config(), place, &wrong),
        };
        for (sender, place) in senders {
            copies::send(self.draft, self.scene.model, *sender, place, &name);
        }
        let with_host = |it: &Change| copies::with_host(it, original);
        let changes: Vec<Change> = changes.iter().map(with_host).collect();
        self.on_cluster(index, &changes, &name, &address, senders);
        let copy = self.draft.at(&address);
        if copy.is_some_and(|copy| copies::asks_for(copy, original)) {
            self.effective[index].notes.push(format!(
                "cluster {name}: health checks use the host {original:?}, like those of the \
                 cluster that it copies"
            ));
        }
    }

    /// Makes the changes of one spec on a cluster to which these alone send.
    fn on_cluster(
        &mut self,
        index: usize,
        changes: &[Change],
        name: &str,
        address: &Address,
        senders: &Users<'_>,
    ) {
        let senders: Vec<Sender> = senders.iter().map(|(sender, _)| *sender).collect();
        for change in changes {
            let change = self.with_filters_of_routers(index, change, (name, address), &senders);
            if let Some(change) = change {
                let cluster = Changed::cluster(name, senders.clone(), address);
                self.perform(index, &change, &cluster);
            }
        }
    }
}
