//! Instances of the filter that do the same work: one chain must not delay, count or answer
//! a request twice.
//!
//! This sees only instances whose configuration is in the listener, not those that come by
//! `config_discovery`.

use btp_policy::Code;
use btp_policy::Position;
use btp_policy::node::Node;
use btp_policy::problem::Problem;
use btp_policy::spec::Capability;

use crate::envoy::address::Address;
use crate::envoy::files::{Config, problem_at};
use crate::envoy::model::Model;
use crate::envoy::plugin::configuration_of;
use crate::envoy::tree::{field, items};

/// Two instances in one chain that do the same.
#[derive(Debug)]
pub(crate) struct Overlap {
    /// The second of them.
    pub(crate) address: Address,
    pub(crate) reason: String,
}

impl Overlap {
    /// As a problem of the configuration.
    pub(crate) fn problem(self, config: &Config) -> Problem {
        problem_at(config, &self.address, Code::EnforcedTwice, self.reason)
    }
}

/// All of a configuration.
pub(crate) fn overlaps(config: &Config, model: &Model) -> Vec<Overlap> {
    let mut found = Vec::new();
    for manager in &model.managers {
        let Some(hcm) = config.at(&manager.address) else {
            continue;
        };
        let filters = manager.address.key("http_filters");
        let mut known: Vec<(Address, Position, Vec<Capability>)> = Vec::new();
        for (place, filter) in items(hcm, "http_filters").iter().enumerate() {
            let address = filters.item(place);
            let config = address.key("typed_config");
            let behind = config.key("upstream_http_filters");
            let behind_router = field(filter, "typed_config")
                .map_or(&[][..], |it| items(it, "upstream_http_filters"))
                .iter()
                .enumerate();
            let behind_router = behind_router.map(|(place, filter)| (behind.item(place), filter));
            for (address, filter) in std::iter::once((address, filter)).chain(behind_router) {
                let Some((position, enforced)) = enforced(filter) else {
                    continue;
                };
                for (other, there, others) in &known {
                    let both = enforced.iter().filter(|it| others.contains(it));
                    let both: Vec<&str> = both.map(|it| name_of(*it)).collect();
                    if *there == position && !both.is_empty() {
                        let reason = format!(
                            "enforces {} as {other} does, which would run twice per request; list \
                             disjoint capabilities in each instance's `enforce`",
                            both.join(", ")
                        );
                        let address = address.clone();
                        found.push(Overlap { address, reason });
                    }
                }
                known.push((address, position, enforced));
            }
        }
    }
    found
}

/// What an instance of the filter does, and where; `None` if it is none, or
/// does nothing.
fn enforced(filter: &Node) -> Option<(Position, Vec<Capability>)> {
    let config = configuration_of(filter)?;
    let all = Capability::ALL.iter().map(|(_, capability)| *capability);
    let enforced = all.filter(|it| config.enforce.has(*it)).collect();
    Some((config.position, enforced))
}

fn name_of(capability: Capability) -> &'static str {
    let all = Capability::ALL.iter();
    let named = all.filter(|(_, it)| *it == capability);
    named.map(|(name, _)| *name).next().unwrap_or_default()
}
