//! Clusters with HTTP filters of their own: Envoy runs these *instead of*
//! those behind the router, so the instance that sees every try goes into
//! their list as well.

use std::collections::BTreeMap;

use btp_policy::node::Value;

use super::Applier;
use super::clusters::Uses;
use crate::apply::filter::{Instance, insert_upstream};
use crate::apply::placement::Destination;
use crate::apply::standing::Standing;
use crate::apply::undo;
use crate::envoy::address::Address;
use crate::envoy::tree::same;

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const LIST: &str = "http_filters";
const WHY: &str = "every try passes it; a cluster's own filters run instead of the router's";

impl Applier<'_> {
    /// Puts the instances behind the router into the clusters that have
    /// filters of their own.
    pub(super) fn insert_into_clusters(&mut self) {
        if self.upstream.is_empty() {
            return;
        }
        let uses = Uses::read(self.config, self.model);
        for (name, address) in uses.places() {
            let list = filters_of(address);
            let filters = self.config.at(&list).map(|it| &it.value);
            if !matches!(filters, Some(Value::List(filters)) if !filters.is_empty()) {
                continue;
            }
            let tables = uses.tables_of(name);
            let managers = self.model.managers.iter().enumerate();
            let managers = managers.filter(|(_, it)| {
                let table = it.routes.table();
                table.is_some_and(|table| tables.contains(&table))
            });
            let managers: Vec<usize> = managers.map(|(index, _)| index).collect();
            self.insert_into_cluster(name, address, &managers);
        }
    }

    /// Puts an instance into the list of one cluster, to which these
    /// connection managers send.
    fn insert_into_cluster(&mut self, name: &str, address: &Address, managers: &[usize]) {
        let instance_of = |manager: usize| {
            let found = self.upstream.iter().find(|(it, _)| *it == manager);
            found.map(|(_, instance)| instance.clone())
        };
        let instances: BTreeMap<usize, Option<Instance>> = managers
            .iter()
            .map(|manager| (*manager, instance_of(*manager)))
            .collect();
        let wanted = instances.values().flatten().next().cloned();
        let Some(instance) = wanted else {
            return;
        };
        let does_same = |it: &Option<Instance>| {
            it.as_ref()
                .is_some_and(|it| same(&it.config, &instance.config))
        };
        if let Some((other, _)) = instances.iter().find(|(_, it)| !does_same(it)) {
            let reason = format!(
                "has http_filters of its own, which Envoy runs for every listener alike, and \
                 listener {} has other policies for each try than the others that send here: \
                 give each listener a cluster of its own, or take http_filters out",
                self.places[*other]
            );
            return self.refuse(address, reason);
        }
        // A copy goes as a whole.
        let is_copy = self.config.at(address).is_some_and(undo::is_made);
        if !is_copy {
            self.change(address);
        }
        let list = filters_of(address);
        let Some(Value::List(filters)) = self.config.at_mut(&list).map(|it| &mut it.value) else {
            return;
        };
        insert_upstream(filters, &instance, self.options);
        let owner = format!("cluster {name}");
        self.standing
            .push(Standing::at(owner, LIST, filters, 0, WHY));
        let place = Destination::FilterOfCluster {
            cluster: name.to_owned(),
            name: instance.name.clone(),
        };
        for it in &mut self.effective {
            if managers.iter().any(|manager| it.is_in(*manager)) {
                it.enforced_in(&instance, &place);
            }
        }
    }
}

/// The list of a cluster's own filters.
fn filters_of(cluster: &Address) -> Address {
    let options = cluster.key("typed_extension_protocol_options").key(OPTIONS);
    options.key(LIST)
}
