//! The parts of a configuration that policies apply to: HTTP connection managers, their
//! route configurations, and filters that forward connections and datagrams.

use std::collections::BTreeSet;

use btp_policy::attach::Route;
use btp_policy::node::Node;

use super::address::Address;
use super::files::Config;
use super::l4::{self, L4Proxy};
use super::listener::{ChainRef, connection_managers};
use super::plugin::build_in;
use super::route_metadata::{self, Form, RouteMetadata};
use super::tree::{field, find, items, text};

/// An HTTP connection manager.
#[derive(Debug)]
pub(crate) struct HttpConnectionManager {
    /// The listener that contains it.
    pub(crate) listener: Address,
    /// The listener's name; may be empty.
    pub(crate) listener_name: String,
    /// The name of its filter chain.
    pub(crate) chain: Option<String>,
    /// Its configuration.
    pub(crate) address: Address,
    pub(crate) route_source: RouteSource,
    /// How the filter there reads what is said of routes.
    pub(crate) form: Form,
}

/// Where a connection manager takes its routes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteSource {
    /// A route configuration of the model, by its index.
    Seen(usize),
    /// It has no routes.
    Nowhere,
    /// From where they cannot be seen: what that is, for people.
    Unseen(&'static str),
}

/// A `RouteConfiguration`.
#[derive(Debug)]
pub(crate) struct RouteConfiguration {
    pub(crate) address: Address,
    pub(crate) routes: Vec<RouteEntry>,
}

/// A route and what is said of it.
#[derive(Debug)]
pub(crate) struct RouteEntry {
    pub(crate) address: Address,
    /// Its name; may be empty.
    pub(crate) name: String,
    /// The name it is given if it has none. It has four parts, so no target
    /// means it.
    pub(crate) given: String,
    /// What holds it, by the names that Envoy has for it.
    pub(crate) home: Home,
    /// The first domain of its virtual host that names one host.
    pub(crate) host: Option<String>,
    /// Its virtual host is for hosts that anybody may have: `*`, or with the
    /// end left open (`shop.*`).
    pub(crate) takes_any_host: bool,
    pub(crate) metadata: RouteMetadata,
}

/// Where a route is.
#[derive(Debug)]
pub(crate) struct Home {
    /// The name of its route configuration; if that has none, its listener's.
    pub(crate) table: String,
    /// The name of its virtual host.
    pub(crate) virtual_host: String,
    /// Its place there.
    pub(crate) index: usize,
}

/// A route of a model: its route configuration, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RouteId {
    pub(crate) config: usize,
    pub(crate) place: usize,
}

/// What sends to clusters: a route, or one of the model's
/// [`l4_proxies`](Model::l4_proxies), by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sender {
    Route(RouteId),
    L4Proxy(usize),
}

/// Everything in a configuration that a policy can govern.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) managers: Vec<HttpConnectionManager>,
    pub(crate) route_configs: Vec<RouteConfiguration>,
    pub(crate) l4_proxies: Vec<L4Proxy>,
}

impl Model {
    /// `usual` is how routes are read where no filter of ours stands.
    pub(crate) fn read(config: &Config, usual: Form) -> Self {
        let mut model = Self {
            l4_proxies: l4::read(config),
            ..Self::default()
        };
        for listener in config.listeners() {
            let Some(node) = config.at(&listener) else {
                continue;
            };
            for (way, chain, hcm) in connection_managers(node) {
                let mut address = listener.clone();
                for step in &way {
                    address.path.push(step.clone());
                }
                let route_source = model.source_of(
                    config,
                    hcm,
                    &address,
                    text(node, "name").unwrap_or("listener"),
                );
                model.managers.push(HttpConnectionManager {
                    listener: listener.clone(),
                    listener_name: text(node, "name").unwrap_or_default().to_owned(),
                    chain: chain.map(str::to_owned),
                    address,
                    route_source,
                    form: build_in(hcm).map_or(usual, Form::from),
                });
            }
        }
        model
    }

    /// What each connection manager is called, unlike all others:
    /// `<listener>[-<chain>]`, and a number where that is not enough.
    pub(crate) fn places(&self) -> Vec<String> {
        let name = |it: &HttpConnectionManager| match &it.chain {
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

    /// The routes of a connection manager, as far as they can be seen.
    pub(crate) fn routes_of(&self, manager: &HttpConnectionManager) -> &[RouteEntry] {
        match manager.route_source.config() {
            Some(config) => &self.route_configs[config].routes,
            None => &[],
        }
    }

    /// The same routes, as the model knows them.
    pub(crate) fn ids_of(
        &self,
        manager: &HttpConnectionManager,
    ) -> impl Iterator<Item = RouteId> + use<> {
        let config = manager.route_source.config();
        let count = self.routes_of(manager).len();
        let of = move |config| (0..count).map(move |place| RouteId { config, place });
        config.into_iter().flat_map(of)
    }

    /// The connection managers that have any of these route configurations.
    pub(crate) fn managers_of(&self, configs: &BTreeSet<usize>) -> Vec<usize> {
        let managers = self.managers.iter().enumerate();
        let managers = managers.filter(|(_, it)| {
            let config = it.route_source.config();
            config.is_some_and(|it| configs.contains(&it))
        });
        managers.map(|(index, _)| index).collect()
    }

    /// The route with this place.
    pub(crate) fn route(&self, id: RouteId) -> &RouteEntry {
        &self.route_configs[id.config].routes[id.place]
    }

    /// What a sender is called, for people.
    pub(crate) fn title_of(&self, sender: Sender) -> String {
        match sender {
            Sender::Route(id) => format!("route {}", self.route(id).title()),
            Sender::L4Proxy(index) => self.l4_proxies[index].title(),
        }
    }

    fn source_of(
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
            match config_in_file(config, rds) {
                Ok(place) => place,
                Err(what) => return RouteSource::Unseen(what),
            }
        } else {
            return RouteSource::Nowhere;
        };
        if let Some(known) = self.route_configs.iter().position(|it| it.address == place) {
            return RouteSource::Seen(known);
        }
        let routes = config
            .at(&place)
            .map_or(Vec::new(), |node| entries(node, &place, listener));
        self.route_configs.push(RouteConfiguration {
            address: place,
            routes,
        });
        RouteSource::Seen(self.route_configs.len() - 1)
    }
}

impl HttpConnectionManager {
    pub(crate) fn chain_ref(&self) -> ChainRef<'_> {
        ChainRef {
            listener: &self.listener,
            listener_name: &self.listener_name,
            name: self.chain.as_deref(),
            filter: &self.address,
        }
    }
}

impl RouteSource {
    /// The index of the route configuration, if it can be seen.
    pub(crate) fn config(self) -> Option<usize> {
        match self {
            Self::Seen(config) => Some(config),
            Self::Nowhere | Self::Unseen(_) => None,
        }
    }
}

impl RouteEntry {
    /// The effective policy as `judge` sees this route, which is read in this form.
    pub(crate) fn judged<T>(&self, form: Form, judge: impl FnOnce(&Route<'_>) -> T) -> T {
        let resources = self.metadata.resources(form);
        route_metadata::judged(&self.name, resources, self.metadata.labels(form), judge)
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
        let name = self.name.split('/').filter(|it| !it.is_empty());
        self.metadata.names().chain(name)
    }
}

/// The route configuration that an `rds` names, if it is in a file of the configuration;
/// else what the routes come from, for people.
fn config_in_file(config: &Config, rds: &Node) -> Result<Address, &'static str> {
    let source = field(rds, "config_source");
    let file = source.and_then(|source| config.file_of(source));
    let file = file.ok_or("rds without a file")?;
    let name = text(rds, "route_config_name").unwrap_or_default();
    let resources = items(&config.files[file].node, "resources");
    let index = resources
        .iter()
        .position(|it| text(it, "name") == Some(name));
    let index = index.ok_or("rds whose file does not contain that route_config_name")?;
    Ok(Address::root(file).key("resources").item(index))
}

fn entries(config: &Node, address: &Address, listener: &str) -> Vec<RouteEntry> {
    let mut entries = Vec::new();
    let table = text(config, "name").unwrap_or(listener);
    let owner = table.replace('/', "_");
    for (host_index, host) in items(config, "virtual_hosts").iter().enumerate() {
        let routes = address.key("virtual_hosts").item(host_index).key("routes");
        let virtual_host = text(host, "name").unwrap_or_default();
        let host_name = virtual_host.replace('/', "_");
        let mut domains = items(host, "domains").iter().filter_map(Node::as_str);
        let takes_any_host = domains.clone().any(|domain| domain.ends_with('*'));
        let domain = domains.find(|domain| !domain.contains('*'));
        for (index, route) in items(host, "routes").iter().enumerate() {
            entries.push(RouteEntry {
                address: routes.item(index),
                name: text(route, "name").unwrap_or_default().to_owned(),
                given: format!("unnamed/{owner}/{host_name}/{index}"),
                home: Home {
                    table: table.to_owned(),
                    virtual_host: virtual_host.to_owned(),
                    index,
                },
                host: domain.map(str::to_owned),
                takes_any_host,
                metadata: RouteMetadata::of(route),
            });
        }
    }
    entries
}
