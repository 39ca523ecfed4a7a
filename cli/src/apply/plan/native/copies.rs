//! Copies of clusters, for policies that must not affect other senders to the same cluster.
//!
//! Their names contain only letters, digits, `-`, `_` and `.`: Envoy sends a cluster's name
//! as the Host of health checks, and servers refuse other characters there. Health checks
//! of a copy send the host of the original, which the backends know.

use std::collections::BTreeSet;

use btp_policy::Policy;
use btp_policy::node::{Node, Value};

use crate::apply::effective::Effective;
use crate::apply::plan::draft::Draft;
use crate::apply::services::backends;
use crate::envoy::address::Address;
use crate::envoy::json::{IntoNode, list, node};
use crate::envoy::model::{Model, Sender};
use crate::envoy::tree::{
    WrongKind, field, field_mut, find, items, object_mut, set, text, unplaced,
};
use crate::envoy::undo;
use crate::translate::{Change, Operation};

/// The name of the copy of a cluster for a spec,
/// `<cluster>-<namespace>-<policy>`: as stable as these names, and with a
/// number where another cluster has that name. It is taken then.
pub(super) fn name(
    policies: &[Policy],
    effective: &[Effective],
    index: usize,
    cluster: &str,
    taken: &mut BTreeSet<String>,
) -> String {
    let it = &effective[index];
    let mut parts = vec![cluster];
    let mut add = |policy: usize| {
        let name = &policies[policy].name;
        parts.extend([name.namespace.as_str(), name.name.as_str()]);
    };
    add(it.policy);
    let is_ambiguous = effective
        .iter()
        .enumerate()
        .any(|(other, that)| other != index && that.policy == it.policy);
    if is_ambiguous {
        it.parents.iter().for_each(|parent| add(*parent));
    }
    let name = as_host(&parts.join("-"));
    let numbered = (2_usize..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    let free = names.find(|it| !taken.contains(it)).unwrap_or(name);
    taken.insert(free.clone());
    free
}

/// The text with `-` for whatever a Host cannot have.
fn as_host(text: &str) -> String {
    let is_fine = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let fine = |it| if is_fine(it) { it } else { '-' };
    text.chars().map(fine).collect()
}

/// The fields in which each kind of health check sets its host.
const HOSTS: [[&str; 2]; 2] = [
    ["http_health_check", "host"],
    ["grpc_health_check", "authority"],
];

/// A change, adapted to a copy: its health check sends the host that the original would
/// send.
pub(super) fn with_host(change: &Change, original: &str) -> Change {
    let mut change = change.clone();
    if let Operation::HealthCheck(check) = &mut change.operation {
        keep_host(check, original);
    }
    change
}

/// Whether a health check of a cluster sends the host `name`.
pub(super) fn asks_for(cluster: &Node, name: &str) -> bool {
    let mut checks = items(cluster, "health_checks").iter();
    checks.any(|check| {
        let mut hosts = HOSTS.iter().filter_map(|way| find(check, way));
        hosts.any(|host| host.as_str() == Some(name))
    })
}

/// Sets the host `original` in a health check that names none.
fn keep_host(check: &mut Node, original: &str) {
    for [kind, host] in HOSTS {
        if let Some(settings) = field_mut(check, kind)
            && matches!(settings.value, Value::Map(_))
            && text(settings, host).unwrap_or_default().is_empty()
        {
            set(settings, host, node!(original));
        }
    }
}

/// Adds a copy of a cluster behind all others; `services` are those with policies that it
/// is.
///
/// # Errors
/// Something else is where its metadata, or where its discovery, must be.
pub(super) fn add(
    draft: &mut Draft<'_>,
    original: &Address,
    name: &str,
    policy: &Policy,
    services: &[String],
) -> Result<Option<Address>, WrongKind> {
    let Some(mut copy) = draft.at(original).map(unplaced) else {
        return Ok(None);
    };
    let Some(old_name) = text(&copy, "name").map(str::to_owned) else {
        return Ok(None);
    };
    set(&mut copy, "name", node!(name));
    // By its name nobody would know that it is the same Service.
    if !services.is_empty() && backends(&copy).is_empty() {
        let all = object_mut(object_mut(&mut copy, "metadata")?, "filter_metadata")?;
        let services = list(services.iter().map(IntoNode::into_node));
        set(object_mut(all, "btp")?, "backends", services);
    }
    let is_discovered = field(&copy, "eds_cluster_config").is_some();
    if is_discovered && find(&copy, &["eds_cluster_config", "service_name"]).is_none() {
        let discovery = object_mut(&mut copy, "eds_cluster_config")?;
        set(discovery, "service_name", node!(&old_name));
    }
    if let Some(assignment) = field_mut(&mut copy, "load_assignment")
        && field(assignment, "cluster_name").is_some()
    {
        set(assignment, "cluster_name", node!(name));
    }
    if let Some(Value::List(checks)) = field_mut(&mut copy, "health_checks").map(|it| &mut it.value)
    {
        for check in checks {
            keep_host(check, &old_name);
        }
    }
    undo::mark_made(&mut copy, &old_name, &policy.name.to_string())?;
    let mut list = original.clone();
    list.path.pop();
    Ok(draft.add(&list, copy))
}

/// Has a route or proxy send to a copy; `place` is where it names the cluster.
pub(super) fn send(
    draft: &mut Draft<'_>,
    model: &Model,
    sender: Sender,
    place: &Address,
    copy: &str,
) {
    let recorded = match sender {
        Sender::Route(id) => &model.route(id).address,
        Sender::L4Proxy(index) => &model.l4_proxies[index].listener,
    };
    if let Some(name) = draft.change_in(recorded, place) {
        *name = node!(copy);
    }
}

#[cfg(test)]
mod tests {
    use super::as_host;

    #[test]
    fn a_copys_name_can_be_a_host() {
        assert_eq!(as_host("outbound|80||a.b_c@d/e"), "outbound-80--a.b_c-d-e");
    }
}
