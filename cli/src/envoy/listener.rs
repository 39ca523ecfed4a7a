//! Where a listener has its HTTP connection managers.

use btp_policy::node::Node;

use super::address::{Address, Step};
use super::tree::{field, items, text, type_of};

/// The HTTP connection managers of a listener: the way there, the name of
/// the filter chain, and the configuration.
pub(crate) fn connection_managers(listener: &Node) -> Vec<(Vec<Step>, Option<&str>, &Node)> {
    let root = Address::root(0);
    let numbered = items(listener, "filter_chains").iter().enumerate();
    let mut chains: Vec<(Address, &Node)> = numbered
        .map(|(index, chain)| (root.key("filter_chains").item(index), chain))
        .collect();
    if let Some(chain) = field(listener, "default_filter_chain") {
        chains.push((root.key("default_filter_chain"), chain));
    }
    let mut found = Vec::new();
    for (address, chain) in chains {
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
