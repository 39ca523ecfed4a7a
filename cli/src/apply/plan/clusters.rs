//! Clusters: who sends to each, and a copy for each policy where one cluster
//! serves several.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::node::{Node, Value};

use super::Applier;
use super::native::part_of;
use crate::apply::files::Config;
use crate::apply::model::{Model, RouteSource};
use crate::apply::placement::Destination;
use crate::apply::undo;
use crate::envoy::address::{Address, Step};
use crate::envoy::json::node;
use crate::envoy::tree::{field, field_mut, find, items, object_mut, set, text, unplaced};
use crate::translate::Change;

/// Which route names which cluster, and who else names it.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Of each cluster: the table, the route in it, and where the name stands.
    routes: BTreeMap<String, Vec<(usize, usize, Address)>>,
    /// Clusters that something other than a route's action names.
    others: BTreeSet<String>,
    /// The place of each cluster.
    places: BTreeMap<String, Address>,
    /// Routes that choose the cluster by something in the request.
    by_request: BTreeSet<(usize, usize)>,
    /// There are routes that cannot be seen.
    is_partial: bool,
}

impl Uses {
    pub(super) fn read(config: &Config, model: &Model) -> Self {
        let mut uses = Self::default();
        for address in config.clusters() {
            let name = config.at(&address).and_then(|it| text(it, "name"));
            if let Some(name) = name.map(str::to_owned) {
                uses.places.insert(name, address);
            }
        }
        uses.is_partial = model
            .managers
            .iter()
            .any(|it| matches!(it.routes, RouteSource::Unseen(_)));
        for (table, it) in model.tables.iter().enumerate() {
            for (place, site) in it.routes.iter().enumerate() {
                if let Some(route) = config.at(&site.address) {
                    uses.add_route(table, place, route, &site.address);
                }
            }
        }
        let names: BTreeSet<&str> = uses.places.keys().map(String::as_str).collect();
        let mut others = BTreeSet::new();
        for file in &config.files {
            mentions(&file.node, "", &names, &mut others);
        }
        uses.others = others;
        uses
    }

    fn add_route(&mut self, table: usize, place: usize, route: &Node, address: &Address) {
        let Some(action) = field(route, "route") else {
            return;
        };
        let address = address.key("route");
        let mut add = |name: Option<&str>, address: Address| {
            if let Some(name) = name {
                let uses = self.routes.entry(name.to_owned()).or_default();
                uses.push((table, place, address));
            }
        };
        if field(action, "cluster").is_some() {
            add(text(action, "cluster"), address.key("cluster"));
        } else if let Some(weighted) = field(action, "weighted_clusters") {
            let list = address.key("weighted_clusters").key("clusters");
            for (index, item) in items(weighted, "clusters").iter().enumerate() {
                add(text(item, "name"), list.item(index).key("name"));
            }
        } else {
            self.by_request.insert((table, place));
        }
    }
}

impl Applier<'_> {
    /// Performs the changes of clusters; `changes` are those of each
    /// effective spec.
    pub(super) fn on_clusters(&mut self, uses: &Uses, changes: &[Vec<Change>]) {
        let mut owner: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (index, it) in self.effective.iter().enumerate() {
            for (manager, place) in &it.sites {
                if let Some(table) = self.model.managers[*manager].routes.table() {
                    owner.entry((table, *place)).or_insert(index);
                }
            }
        }
        for site in &uses.by_request {
            if let Some(index) = owner.get(site)
                && let Some(change) = changes[*index].first()
            {
                let route = &self.model.tables[site.0].routes[site.1];
                let reason = format!(
                    "cannot be put into force on {}: which cluster it sends to is known only \
                     with the request",
                    route.title()
                );
                let (policy, field) = (self.effective[*index].policy, change.field.clone());
                self.refuse_field(policy, &field, reason);
            }
        }
        for (name, routes) in &uses.routes {
            let mut users: BTreeMap<Option<usize>, Vec<&Address>> = BTreeMap::new();
            for (table, place, address) in routes {
                let index = owner.get(&(*table, *place)).copied();
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
    ) {
        let Some(place) = uses.places.get(name) else {
            let field = changes[0].field.clone();
            let reason =
                format!("cannot be put into force: the cluster {name} is not in the configuration");
            let policy = self.effective[index].policy;
            self.refuse_field(policy, &field, reason);
            return;
        };
        let (address, name) = match copy_for {
            None => {
                self.change(place);
                (place.clone(), name.to_owned())
            }
            Some(routes) => {
                let copy = self.copy_name(name, index);
                for route in routes {
                    let mut whole = route.clone();
                    while whole.path.len() > 1 && !is_route(&whole) {
                        whole.path.pop();
                    }
                    self.change(&whole);
                    if let Some(node) = self.config.at_mut(route) {
                        *node = node!(&copy);
                    }
                }
                match self.copy(place, &copy, index) {
                    Some(address) => (address, copy),
                    None => return,
                }
            }
        };
        for change in changes {
            if self.perform(index, change, &address, &format!("cluster {name}")) {
                let destination = Destination::Cluster {
                    name: name.clone(),
                    part: part_of(change),
                };
                self.went_to(index, change, destination);
            }
        }
    }

    /// `<cluster>@<namespace>/<policy>`: as stable as the two names.
    fn copy_name(&self, name: &str, index: usize) -> String {
        let it = &self.effective[index];
        let policy = &self.policies[it.policy].name;
        let is_ambiguous = self
            .effective
            .iter()
            .enumerate()
            .any(|(other, that)| other != index && that.policy == it.policy);
        match it.parent.filter(|_| is_ambiguous) {
            Some(parent) => format!("{name}@{policy}+{}", self.policies[parent].name),
            None => format!("{name}@{policy}"),
        }
    }

    /// Adds a copy of a cluster behind all others.
    fn copy(&mut self, original: &Address, name: &str, index: usize) -> Option<Address> {
        let mut copy = unplaced(self.config.at(original)?);
        let old_name = text(&copy, "name")?.to_owned();
        set(&mut copy, "name", node!(name));
        let is_discovered = field(&copy, "eds_cluster_config").is_some();
        if is_discovered && find(&copy, &["eds_cluster_config", "service_name"]).is_none() {
            let discovery = object_mut(&mut copy, "eds_cluster_config");
            set(discovery, "service_name", node!(&old_name));
        }
        if let Some(assignment) = field_mut(&mut copy, "load_assignment")
            && field(assignment, "cluster_name").is_some()
        {
            set(assignment, "cluster_name", node!(name));
        }
        let policy = self.policies[self.effective[index].policy].name.to_string();
        undo::mark_made(&mut copy, &old_name, &policy);
        let mut list = original.clone();
        list.path.pop();
        let Value::List(clusters) = &mut self.config.at_mut(&list)?.value else {
            return None;
        };
        clusters.push(copy);
        Some(list.item(clusters.len() - 1))
    }
}

/// Whether an address is that of a route.
fn is_route(address: &Address) -> bool {
    let mut steps = address.path.iter().rev();
    matches!(
        (steps.next(), steps.next()),
        (Some(Step::Item(_)), Some(Step::Key(key))) if key == "routes"
    )
}

/// Clusters that are named anywhere but in the action of a route.
fn mentions(node: &Node, key: &str, names: &BTreeSet<&str>, found: &mut BTreeSet<String>) {
    match &node.value {
        Value::String(name)
            if names.contains(name.as_str()) && key.to_ascii_lowercase().contains("cluster") =>
        {
            found.insert(name.clone());
        }
        Value::List(list) => {
            for item in list {
                mentions(item, key, names, found);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                let below = entry.key.as_str();
                let is_own = match below {
                    // The cluster itself, and this Envoy's own.
                    "load_assignment" | "loadAssignment" | "node" => true,
                    // The action of a route: counted apart.
                    "cluster" | "weighted_clusters" | "weightedClusters" => key == "route",
                    _ => false,
                };
                if !is_own {
                    mentions(&entry.node, below, names, found);
                }
            }
        }
        _ => {}
    }
}
