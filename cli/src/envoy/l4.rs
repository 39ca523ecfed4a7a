//! Filters that forward connections or datagrams unchanged: `tcp_proxy` and `udp_proxy`,
//! and filters whose backends `btp` does not know.

use btp_policy::node::{Node, Value};

use super::address::{Address, Step};
use super::files::Config;
use super::listener::{ChainRef, chains};
use super::route_metadata::{Label, Resource, labels_of, resources_of};
use super::tree::{field, items, text, type_of};

const TCP: &str = "TcpProxy";
const UDP: &str = "UdpProxyConfig";
const HTTP: &str = "HttpConnectionManager";
/// What has a connection sent to a cluster that its client names.
const SNI_CLUSTER: &str = "SniCluster";

/// A filter that ends a listener's filter chain, and does not speak HTTP.
#[derive(Debug)]
pub(crate) struct L4Proxy {
    /// The listener that contains it.
    pub(crate) listener: Address,
    /// The listener's name; may be empty.
    pub(crate) listener_name: String,
    /// The name of its filter chain.
    pub(crate) chain: Option<String>,
    /// Its configuration.
    pub(crate) address: Address,
    /// What it hands on; `None`: where to is its own business.
    pub(crate) l4: Option<L4>,
    /// The filter's name, for people.
    pub(crate) filter: String,
    /// Where it names clusters.
    pub(crate) clusters: Vec<Address>,
    /// It sends to several of them by weight.
    pub(crate) is_weighted: bool,
    /// The filter that may have a connection sent elsewhere.
    pub(crate) chosen_by: Option<String>,
    /// The name by which it is known as a route; may be empty.
    pub(crate) route_name: String,
    /// The routes that metadata names.
    pub(crate) resources: Vec<Resource>,
    /// Its labels as a route.
    pub(crate) labels: Vec<Label>,
}

/// What is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum L4 {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl L4Proxy {
    pub(crate) fn chain_ref(&self) -> ChainRef<'_> {
        ChainRef {
            listener: &self.listener,
            listener_name: &self.listener_name,
            name: self.chain.as_deref(),
            filter: &self.address,
        }
    }

    /// What it is called, for people, such as `listener edge/tcp, tcp_proxy`.
    pub(crate) fn title(&self) -> String {
        let chain = match &self.chain {
            Some(chain) => format!(", chain {chain}"),
            None => String::new(),
        };
        format!("listener {}{chain}, {}", self.listener_name, self.filter)
    }
}

/// All of a configuration.
pub(super) fn read(config: &Config) -> Vec<L4Proxy> {
    let mut found = Vec::new();
    for listener in config.listeners() {
        if let Some(node) = config.at(&listener) {
            found.extend(in_chains(node, &listener));
            found.extend(of_datagrams(node, &listener));
        }
    }
    found
}

fn in_chains(node: &Node, listener: &Address) -> Vec<L4Proxy> {
    let mut found = Vec::new();
    for (way, chain) in chains(node) {
        let filters = items(chain, "filters");
        let Some((last, before)) = filters.split_last() else {
            continue;
        };
        let config = field(last, "typed_config");
        let l4 = match config.and_then(type_of) {
            Some(HTTP) => continue,
            kind => (kind == Some(TCP)).then_some(L4::Tcp),
        };
        let address = below(listener, &way).key("filters").item(before.len());
        let address = address.key("typed_config");
        let by_client = before.iter().find(|it| {
            let kind = field(it, "typed_config").and_then(type_of);
            kind == Some(SNI_CLUSTER) || sets_cluster(it)
        });
        let config = config.filter(|_| l4.is_some());
        let clusters = config.map_or(Vec::new(), |it| of_tcp(it, &address));
        let said = [chain, node];
        found.push(L4Proxy {
            listener: listener.clone(),
            listener_name: text(node, "name").unwrap_or_default().to_owned(),
            chain: text(chain, "name").map(str::to_owned),
            is_weighted: clusters.len() > 1,
            address,
            l4,
            filter: match l4 {
                Some(_) => "tcp_proxy".to_owned(),
                None => name_of(last),
            },
            clusters,
            chosen_by: by_client.map(name_of),
            route_name: route_name(text(chain, "name"), node, config),
            resources: said.into_iter().flat_map(resources_of).collect(),
            labels: labels_of(chain),
        });
    }
    found
}

/// Datagrams are the business of listener filters.
fn of_datagrams(node: &Node, listener: &Address) -> Option<L4Proxy> {
    if !chains(node).is_empty() {
        return None;
    }
    let filters = items(node, "listener_filters");
    let (index, last) = filters.iter().enumerate().next_back()?;
    let address = listener.key("listener_filters").item(index);
    let address = address.key("typed_config");
    let config = field(last, "typed_config");
    let is_proxy = config.and_then(type_of) == Some(UDP);
    let mut clusters = Vec::new();
    if let Some(config) = config.filter(|_| is_proxy) {
        of_udp(config, &address, &mut clusters);
    }
    Some(L4Proxy {
        listener: listener.clone(),
        listener_name: text(node, "name").unwrap_or_default().to_owned(),
        chain: None,
        address,
        l4: is_proxy.then_some(L4::Udp),
        filter: match is_proxy {
            true => "udp_proxy".to_owned(),
            false => name_of(last),
        },
        clusters,
        is_weighted: false,
        chosen_by: None,
        route_name: route_name(None, node, config),
        resources: resources_of(node),
        labels: labels_of(node),
    })
}

/// A proxy's name as a route: that of its filter chain. Where there is none, Envoy Gateway
/// names the route in the cluster alone, `udproute/<namespace>/<name>/rule/…`; else the
/// listener's name is taken.
fn route_name(chain: Option<&str>, listener: &Node, config: Option<&Node>) -> String {
    fn of_cluster(node: &Node) -> Option<&str> {
        const FORMS: [&str; 3] = ["tcproute/", "tlsroute/", "udproute/"];
        match &node.value {
            Value::Map(entries) => entries.iter().find_map(|it| match it.node.as_str() {
                Some(name) => {
                    let is_form = FORMS.iter().any(|form| name.starts_with(form));
                    (it.key == "cluster" && is_form).then_some(name)
                }
                None => of_cluster(&it.node),
            }),
            Value::List(items) => items.iter().find_map(of_cluster),
            _ => None,
        }
    }
    let name = chain.or_else(|| config.and_then(of_cluster));
    name.or(text(listener, "name"))
        .unwrap_or_default()
        .to_owned()
}

fn of_tcp(config: &Node, address: &Address) -> Vec<Address> {
    if field(config, "cluster").is_some() {
        return vec![address.key("cluster")];
    }
    let Some(weighted) = field(config, "weighted_clusters") else {
        return Vec::new();
    };
    let list = address.key("weighted_clusters").key("clusters");
    let count = items(weighted, "clusters").len();
    (0..count)
        .map(|index| list.item(index).key("name"))
        .collect()
}

/// By itself, or wherever its matcher leads.
fn of_udp(node: &Node, address: &Address, found: &mut Vec<Address>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let below = address.key(&entry.key);
                let is_name =
                    entry.key == "cluster" && matches!(entry.node.value, Value::String(_));
                match is_name && matches!(type_of(node), Some(UDP | "Route")) {
                    true => found.push(below),
                    false => of_udp(&entry.node, &below, found),
                }
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                of_udp(item, &address.item(index), found);
            }
        }
        _ => {}
    }
}

/// Whether a `set_filter_state` says which cluster a connection goes to.
fn sets_cluster(filter: &Node) -> bool {
    fn says(node: &Node) -> bool {
        match &node.value {
            Value::String(text) => text == "envoy.tcp_proxy.cluster",
            Value::List(items) => items.iter().any(says),
            Value::Map(entries) => entries.iter().any(|it| says(&it.node)),
            _ => false,
        }
    }
    field(filter, "typed_config").is_some_and(says)
}

fn name_of(filter: &Node) -> String {
    text(filter, "name").unwrap_or("a filter").to_owned()
}

fn below(listener: &Address, way: &[Step]) -> Address {
    let mut address = listener.clone();
    address.path.extend_from_slice(way);
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn found(listener: &str) -> Vec<L4Proxy> {
        let node = json::parse(listener.as_bytes()).unwrap();
        let root = Address::root(0);
        let mut found = in_chains(&node, &root);
        found.extend(of_datagrams(&node, &root));
        found
    }

    fn clusters(it: &L4Proxy) -> Vec<String> {
        it.clusters.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_chain_has_its_own_proxy() {
        let found = found(
            r#"{"name":"edge","filterChains":[
                {"name":"a","filters":[{"name":"sni","typed_config":{"@type":"x/y.SniCluster"}},
                    {"name":"tcp","typed_config":{"@type":"x/y.TcpProxy","cluster":"one"}}]},
                {"filters":[{"name":"h","typed_config":{"@type":"x/y.HttpConnectionManager"}}]},
                {"filters":[{"name":"redis","typed_config":{"@type":"x/y.RedisProxy"}}]}],
                "default_filter_chain":{"filters":[{"name":"tcp","typed_config":{
                    "@type":"x/y.TcpProxy","weightedClusters":{"clusters":[
                        {"name":"one","weight":1},{"name":"two","weight":1}]}}}]}}"#,
        );
        let titles: Vec<String> = found.iter().map(L4Proxy::title).collect();
        assert_eq!(
            titles,
            [
                "listener edge, chain a, tcp_proxy",
                "listener edge, redis",
                "listener edge, tcp_proxy"
            ]
        );
        assert_eq!(found[0].chosen_by.as_deref(), Some("sni"));
        assert_eq!(
            clusters(&found[0]),
            ["filter_chains[0].filters[1].typed_config.cluster"]
        );
        let weighted = "default_filter_chain.filters[0].typed_config.weighted_clusters.clusters";
        assert_eq!(
            clusters(&found[2]),
            [format!("{weighted}[0].name"), format!("{weighted}[1].name")]
        );
        assert!(found[2].is_weighted);
    }

    #[test]
    fn datagrams_go_where_the_matcher_leads() {
        let found = found(
            r#"{"name":"dns","listener_filters":[{"name":"udp","typed_config":{
                "@type":"x/y.UdpProxyConfig","stat_prefix":"s","matcher":{"on_no_match":{"action":{
                    "name":"route","typed_config":{"@type":"x/udp_proxy.v3.Route","cluster":"c"}}}}}}]}"#,
        );
        assert_eq!(found[0].title(), "listener dns, udp_proxy");
        let way =
            "listener_filters[0].typed_config.matcher.on_no_match.action.typed_config.cluster";
        assert_eq!(clusters(&found[0]), [way]);
    }
}
