//! Copies of clusters, for policies that must not reach the others who send to
//! the same cluster.

use btp_policy::Policy;

use crate::apply::effective::Effective;
use crate::apply::plan::draft::Draft;
use crate::apply::undo;
use crate::envoy::address::{Address, Step};
use crate::envoy::json::node;
use crate::envoy::tree::{field, field_mut, find, object_mut, set, text, unplaced};

/// The name of the copy of a cluster for a spec,
/// `<cluster>@<namespace>/<policy>`: as stable as the two names.
pub(super) fn name(
    policies: &[Policy],
    effective: &[Effective],
    index: usize,
    cluster: &str,
) -> String {
    let it = &effective[index];
    let policy = &policies[it.policy].name;
    let is_ambiguous = effective
        .iter()
        .enumerate()
        .any(|(other, that)| other != index && that.policy == it.policy);
    match it.parent.filter(|_| is_ambiguous) {
        Some(parent) => format!("{cluster}@{policy}+{}", policies[parent].name),
        None => format!("{cluster}@{policy}"),
    }
}

/// Adds a copy of a cluster behind all others.
pub(super) fn add(
    draft: &mut Draft<'_>,
    original: &Address,
    name: &str,
    policy: &Policy,
) -> Option<Address> {
    let mut copy = unplaced(draft.at(original)?);
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
    undo::mark_made(&mut copy, &old_name, &policy.name.to_string());
    let mut list = original.clone();
    list.path.pop();
    draft.add(&list, copy)
}

/// Sends a route to a copy; `place` is where it names the cluster.
pub(super) fn send(draft: &mut Draft<'_>, place: &Address, copy: &str) {
    let mut route = place.clone();
    while route.path.len() > 1 && !is_route(&route) {
        route.path.pop();
    }
    if let Some(name) = draft.change_in(&route, place) {
        *name = node!(copy);
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
