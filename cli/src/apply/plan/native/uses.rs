//! Which route sends to which cluster, and who else names it.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::node::{Node, Value};

use crate::envoy::address::Address;
use crate::envoy::files::Config;
use crate::envoy::model::{Model, RouteId, RouteSource};
use crate::envoy::tree::{field, items, text};

/// Which route names which cluster, and who else names it.
#[derive(Debug, Default)]
pub(in crate::apply::plan) struct Uses {
    /// Of each cluster: the routes to it, and where its name stands there.
    pub(super) routes: BTreeMap<String, Vec<(RouteId, Address)>>,
    /// Clusters that something other than a route's action names.
    pub(super) others: BTreeSet<String>,
    /// The place of each cluster.
    pub(in crate::apply::plan) places: BTreeMap<String, Address>,
    /// Routes that choose the cluster by something in the request.
    pub(super) by_request: BTreeSet<RouteId>,
    /// There are routes that cannot be seen.
    pub(super) is_partial: bool,
}

impl Uses {
    pub(in crate::apply::plan) fn read(config: &Config, model: &Model) -> Self {
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
            .any(|it| matches!(it.route_source, RouteSource::Unseen(_)));
        for (config_index, it) in model.route_configs.iter().enumerate() {
            for (place, entry) in it.routes.iter().enumerate() {
                if let Some(route) = config.at(&entry.address) {
                    let id = RouteId {
                        config: config_index,
                        place,
                    };
                    uses.add_route(id, route, &entry.address);
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

    /// The route configurations with a route that sends to a cluster, or may do
    /// so.
    pub(in crate::apply::plan) fn configs_of(&self, cluster: &str) -> BTreeSet<usize> {
        let routes = self.routes.get(cluster).into_iter().flatten();
        let named = routes.map(|(id, _)| id.config);
        let others = self.by_request.iter().map(|id| id.config);
        named.chain(others).collect()
    }

    /// The routes that send to a cluster that is wanted, or may do so.
    pub(in crate::apply::plan) fn routes_to(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> BTreeSet<RouteId> {
        let named = self.routes.iter().filter(|(name, _)| is_wanted(name));
        let named = named.flat_map(|(_, routes)| routes.iter().map(|(id, _)| *id));
        named.chain(self.by_request.iter().copied()).collect()
    }

    fn add_route(&mut self, id: RouteId, route: &Node, address: &Address) {
        let Some(action) = field(route, "route") else {
            return;
        };
        let address = address.key("route");
        let mut add = |name: Option<&str>, address: Address| {
            if let Some(name) = name {
                let uses = self.routes.entry(name.to_owned()).or_default();
                uses.push((id, address));
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
            self.by_request.insert(id);
        }
    }
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
