//! What sends to which cluster, and who else names it.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::node::{Node, Value};

use crate::envoy::address::Address;
use crate::envoy::files::Config;
use crate::envoy::model::{Model, RouteId, RouteSource, Sender};
use crate::envoy::tree::{field, items, text};

/// What names which cluster.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// The senders to each cluster, with the address of the cluster's name in them.
    pub(super) senders: BTreeMap<String, Vec<(Sender, Address)>>,
    /// Clusters that something else names.
    pub(super) others: BTreeSet<String>,
    /// The place of each cluster.
    pub(super) places: BTreeMap<String, Address>,
    /// Routes that choose the cluster by something in the request.
    pub(super) by_request: BTreeSet<RouteId>,
    /// There are routes that cannot be seen.
    pub(super) is_partial: bool,
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
        for (index, proxy) in model.l4_proxies.iter().enumerate() {
            for address in &proxy.clusters {
                if let Some(name) = config.at(address).and_then(Node::as_str) {
                    uses.add(name, Sender::L4Proxy(index), address.clone());
                }
            }
        }
        let proxies = model.l4_proxies.iter().flat_map(|it| &it.clusters);
        let mut mentions = Mentions {
            names: uses.places.keys().map(String::as_str).collect(),
            of_proxies: proxies.filter_map(|it| config.at(it)).collect(),
            found: BTreeSet::new(),
        };
        for file in &config.files {
            mentions.look(&file.node, "");
        }
        uses.others = mentions.found;
        uses
    }

    /// The route configurations with a route that sends to a cluster, or may do
    /// so.
    pub(super) fn configs_of(&self, cluster: &str) -> BTreeSet<usize> {
        let routes = self.routes_to(|name| name == cluster);
        routes.iter().map(|id| id.config).collect()
    }

    /// The routes that send to a cluster that is wanted, or may do so.
    pub(super) fn routes_to(&self, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<RouteId> {
        let named = self.senders.iter().filter(|(name, _)| is_wanted(name));
        let named = named.flat_map(|(_, senders)| senders);
        let named = named.filter_map(|(sender, _)| match sender {
            Sender::Route(id) => Some(*id),
            Sender::L4Proxy(_) => None,
        });
        named.chain(self.by_request.iter().copied()).collect()
    }

    /// The clusters, with their places, to which one of these sends.
    pub(super) fn clusters_of(
        &self,
        wanted: &BTreeSet<Sender>,
    ) -> impl Iterator<Item = (&str, &Address)> {
        let named = self.senders.iter();
        let named = named.filter(|(_, senders)| senders.iter().any(|(it, _)| wanted.contains(it)));
        named.filter_map(|(name, _)| Some((name.as_str(), self.places.get(name)?)))
    }

    fn add(&mut self, cluster: &str, sender: Sender, address: Address) {
        let senders = self.senders.entry(cluster.to_owned()).or_default();
        senders.push((sender, address));
    }

    fn add_route(&mut self, id: RouteId, route: &Node, address: &Address) {
        let Some(action) = field(route, "route") else {
            return;
        };
        let address = address.key("route");
        let mut add = |name: Option<&str>, address: Address| {
            if let Some(name) = name {
                self.add(name, Sender::Route(id), address);
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

/// The clusters that a route names itself.
pub(super) fn clusters_named_by(route: &Node) -> BTreeSet<&str> {
    let Some(action) = field(route, "route") else {
        return BTreeSet::new();
    };
    let weighted = field(action, "weighted_clusters").map_or(&[][..], |it| items(it, "clusters"));
    let weighted = weighted.iter().filter_map(|it| text(it, "name"));
    text(action, "cluster")
        .into_iter()
        .chain(weighted)
        .collect()
}

/// Looks for clusters that are named anywhere but by what sends to them.
struct Mentions<'a> {
    names: BTreeSet<&'a str>,
    /// Their names where proxies of connections and datagrams send to them.
    of_proxies: Vec<&'a Node>,
    found: BTreeSet<String>,
}

impl Mentions<'_> {
    /// Looks at the value of `key`.
    fn look(&mut self, node: &Node, key: &str) {
        match &node.value {
            Value::String(name)
                if self.names.contains(name.as_str())
                    && key.to_ascii_lowercase().contains("cluster")
                    && !self.of_proxies.iter().any(|it| std::ptr::eq(*it, node)) =>
            {
                self.found.insert(name.clone());
            }
            Value::List(list) => list.iter().for_each(|item| self.look(item, key)),
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
                        self.look(&entry.node, below);
                    }
                }
            }
            _ => {}
        }
    }
}
