//! Where a listener has its filter chains, and in them its HTTP connection
//! managers.

use btp_policy::node::Node;

use super::address::{Address, Step};
use super::tree::{field, items, text, type_of};

/// Where something stands: its listener, and the filter chain there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChainRef<'a> {
    pub(crate) listener: &'a Address,
    /// The listener's name; may be empty.
    pub(crate) listener_name: &'a str,
    pub(crate) name: Option<&'a str>,
    /// The configuration of a filter there.
    pub(crate) filter: &'a Address,
}

impl ChainRef<'_> {
    /// The filter chain; for datagrams the listener, which has none.
    pub(crate) fn chain(&self) -> Address {
        let mut address = self.filter.clone();
        // Beneath it are the list of filters, the filter and its configuration.
        address.path.truncate(address.path.len().saturating_sub(3));
        address
    }
}

/// The filter chains of a listener, each with the way there.
pub(crate) fn chains(listener: &Node) -> Vec<(Vec<Step>, &Node)> {
    let root = Address::root(0);
    let numbered = items(listener, "filter_chains").iter().enumerate();
    let mut chains: Vec<(Vec<Step>, &Node)> = numbered
        .map(|(index, chain)| (root.key("filter_chains").item(index).path, chain))
        .collect();
    if let Some(chain) = field(listener, "default_filter_chain") {
        chains.push((root.key("default_filter_chain").path, chain));
    }
    chains
}

/// The HTTP connection managers of a listener: the way there, the name of
/// the filter chain, and the configuration.
pub(crate) fn connection_managers(listener: &Node) -> Vec<(Vec<Step>, Option<&str>, &Node)> {
    let mut found = Vec::new();
    for (path, chain) in chains(listener) {
        let address = Address { file: 0, path };
        for (index, filter) in items(chain, "filters").iter().enumerate() {
            let Some(config) = field(filter, "typed_config") else {
                continue;
            };
            if type_of(config) == Some("HttpConnectionManager") {
                let place = address.key("filters").item(index).key("typed_config");
                found.push((place.path, text(chain, "name"), config));
            }
        }
    }
    found
}
