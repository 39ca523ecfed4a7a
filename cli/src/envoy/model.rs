//! What a configuration consists of, as policies see it: HTTP connection
//! managers, each with its place, and tables of routes.

use btp_policy::attach::{ResourceRef, Route};
use btp_policy::node::{Node, Value};

use super::address::Address;
use super::files::Config;
use super::listener::connection_managers;
use super::tree::{field, find, items, text};

/// An HTTP connection manager.
#[derive(Debug)]
pub(crate) struct Manager {
    /// The listener it stands in.
    pub(crate) listener: Address,
    /// The listener's name; may be empty.
    pub(crate) listener_name: String,
    /// The name of its filter chain.
    pub(crate) chain: Option<String>,
    /// Its configuration.
    pub(crate) address: Address,
    pub(crate) routes: RouteSource,
}

/// Where a connection manager takes its routes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteSource {
    /// A table of the model, by its index.
    Table(usize),
    /// It has no routes.
    Nowhere,
    /// From where they cannot be seen: what that is, for people.
    Unseen(&'static str),
}

/// A `RouteConfiguration`.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) address: Address,
    pub(crate) routes: Vec<Site>,
}

/// A route and what is said of it.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) address: Address,
    /// Its name; may be empty.
    pub(crate) name: String,
    /// The name it is given if it has none. It has four parts, so no target
    /// means it.
    pub(crate) given: String,
    /// The first domain of its virtual host that names one host.
    pub(crate) host: Option<String>,
    /// Its virtual host is for hosts that anybody may have: `*`, or with the
    /// end left open (`shop.*`).
    pub(crate) takes_any_host: bool,
    resources: Vec<[Option<String>; 4]>,
    labels: Vec<(String, String)>,
}

/// Everything in a configuration that a policy can govern.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) managers: Vec<Manager>,
    pub(crate) tables: Vec<Table>,
}

impl Model {
    pub(crate) fn read(config: &Config) -> Self {
        let mut model = Self::default();
        for listener in config.listeners() {
            let Some(node) = config.at(&listener) else {
                continue;
            };
            for (way, chain, hcm) in connection_managers(node) {
                let mut address = listener.clone();
                for step in &way {
                    address.path.push(step.clone());
                }
                let routes = model.routes_of(
                    config,
                    hcm,
                    &address,
                    text(node, "name").unwrap_or("listener"),
                );
                model.managers.push(Manager {
                    listener: listener.clone(),
                    listener_name: text(node, "name").unwrap_or_default().to_owned(),
                    chain: chain.map(str::to_owned),
                    address,
                    routes,
                });
            }
        }
        model
    }

    /// What each connection manager is called, unlike all others:
    /// `<listener>[-<chain>]`, and a number where that is not enough.
    pub(crate) fn places(&self) -> Vec<String> {
        let name = |it: &Manager| match &it.chain {
            Some(chain) => format!("{}-{chain}", it.listener_name),
            None => it.listener_name.clone(),
        };
        let mut names: Vec<String> = self.managers.iter().map(name).collect();
        for index in 1..names.len() {
            let plain = names[index].clone();
            let mut number = 2;
            while names[..index].contains(&names[index]) {
                names[index] = format!("{plain}-{number}");
                number += 1;
            }
        }
        names
    }

    fn routes_of(
        &mut self,
        config: &Config,
        hcm: &Node,
        address: &Address,
        listener: &str,
    ) -> RouteSource {
        let place = if find(hcm, &["route_config", "vhds"]).is_some() {
            return RouteSource::Unseen("vhds");
        } else if field(hcm, "route_config").is_some() {
            address.key("route_config")
        } else if field(hcm, "scoped_routes").is_some() {
            return RouteSource::Unseen("scoped_routes");
        } else if let Some(rds) = field(hcm, "rds") {
            match table_in_file(config, rds) {
                Ok(place) => place,
                Err(what) => return RouteSource::Unseen(what),
            }
        } else {
            return RouteSource::Nowhere;
        };
        if let Some(known) = self.tables.iter().position(|it| it.address == place) {
            return RouteSource::Table(known);
        }
        let routes = config
            .at(&place)
            .map_or(Vec::new(), |node| sites(node, &place, listener));
        self.tables.push(Table {
            address: place,
            routes,
        });
        RouteSource::Table(self.tables.len() - 1)
    }
}

impl RouteSource {
    /// The index of its table, if they can be seen.
    pub(crate) fn table(self) -> Option<usize> {
        match self {
            Self::Table(table) => Some(table),
            Self::Nowhere | Self::Unseen(_) => None,
        }
    }
}

impl Site {
    /// The governing policy as `judge` sees this route.
    pub(crate) fn judged<T>(&self, judge: impl FnOnce(&Route<'_>) -> T) -> T {
        let text = |part: &'_ Option<String>| part.clone().unwrap_or_default();
        let parts: Vec<[String; 3]> = self
            .resources
            .iter()
            .map(|[kind, namespace, name, _]| [text(kind), text(namespace), text(name)])
            .collect();
        let resources: Vec<ResourceRef<'_>> = self
            .resources
            .iter()
            .zip(&parts)
            .map(|(it, [kind, namespace, name])| ResourceRef {
                kind,
                namespace,
                name,
                section: it[3].as_deref(),
            })
            .collect();
        let labels: Vec<(&str, &str)> = self
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        judge(&Route {
            name: self.name.as_bytes(),
            resources: &resources,
            labels: &labels,
        })
    }

    /// What the route is called, for people.
    pub(crate) fn title(&self) -> String {
        if self.name.is_empty() {
            self.given.clone()
        } else {
            self.name.clone()
        }
    }

    /// The names that a target may have meant.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let resources = self.resources.iter().filter_map(|it| it[2].as_deref());
        let name = self.name.split('/').filter(|it| !it.is_empty());
        resources.chain(name)
    }
}

/// The table that an `rds` names, if it is in a file of the configuration;
/// else what the routes come from, for people.
fn table_in_file(config: &Config, rds: &Node) -> Result<Address, &'static str> {
    let source = field(rds, "config_source");
    let file = source.and_then(|source| config.file_of(source));
    let file = file.ok_or("rds without a file")?;
    let name = text(rds, "route_config_name").unwrap_or_default();
    let resources = items(&config.files[file].node, "resources");
    let index = resources
        .iter()
        .position(|it| text(it, "name") == Some(name));
    let index = index.ok_or("rds whose file does not hold that route_config_name")?;
    Ok(Address::root(file).key("resources").item(index))
}

fn sites(table: &Node, address: &Address, listener: &str) -> Vec<Site> {
    let mut sites = Vec::new();
    let owner = text(table, "name").unwrap_or(listener).replace('/', "_");
    for (host_index, host) in items(table, "virtual_hosts").iter().enumerate() {
        let routes = address.key("virtual_hosts").item(host_index).key("routes");
        let host_name = text(host, "name").unwrap_or_default().replace('/', "_");
        let mut domains = items(host, "domains").iter().filter_map(Node::as_str);
        let takes_any_host = domains.clone().any(|domain| domain.ends_with('*'));
        let domain = domains.find(|domain| !domain.contains('*'));
        for (index, route) in items(host, "routes").iter().enumerate() {
            sites.push(Site {
                address: routes.item(index),
                name: text(route, "name").unwrap_or_default().to_owned(),
                given: format!("unnamed/{owner}/{host_name}/{index}"),
                host: domain.map(str::to_owned),
                takes_any_host,
                resources: resources_of(route),
                labels: labels_of(route),
            });
        }
    }
    sites
}

/// Kind, namespace, name and section of each object in the metadata that
/// Envoy Gateway writes.
pub(crate) fn resources_of(node: &Node) -> Vec<[Option<String>; 4]> {
    let path = ["metadata", "filter_metadata", "envoy-gateway"];
    let Some(metadata) = find(node, &path) else {
        return Vec::new();
    };
    let part = |node: &Node, name: &str| text(node, name).map(str::to_owned);
    let names = ["kind", "namespace", "name", "sectionName"];
    items(metadata, "resources")
        .iter()
        .map(|item| names.map(|name| part(item, name)))
        .collect()
}

/// The labels that we read from metadata.
pub(crate) fn labels_of(node: &Node) -> Vec<(String, String)> {
    let path = ["metadata", "filter_metadata", "btp", "labels"];
    let Some(Value::Map(entries)) = find(node, &path).map(|node| &node.value) else {
        return Vec::new();
    };
    let pair = |entry: &btp_policy::node::Entry| {
        Some((entry.key.clone(), entry.node.as_str()?.to_owned()))
    };
    entries.iter().filter_map(pair).collect()
}
