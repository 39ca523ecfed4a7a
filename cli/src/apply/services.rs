//! Policies of Services (`XBackendTrafficPolicy`): which clusters of a configuration these
//! are, and which routes send to them.

use std::collections::BTreeSet;

use btp_policy::Policy;
use btp_policy::attach::Cluster;
use btp_policy::node::Node;
use btp_policy::path::{FieldPath, Step};
use btp_policy::policy::TargetKind;

use super::attach::Attached;
use super::effective::Effective;
use super::targets::{Missing, Suggestion, TargetNotFound};
use super::uses::Uses;
use crate::envoy::files::Config;
use crate::envoy::model::{Model, RouteId, Sender};
use crate::envoy::tree::{field, find, items};

/// What the metadata of a cluster says of the Services that it stands for.
pub(crate) fn backends(cluster: &Node) -> Vec<&str> {
    let namespace = find(cluster, &["metadata", "filter_metadata", "btp"]);
    let all = namespace.map_or(&[][..], |it| items(it, "backends"));
    all.iter().filter_map(Node::as_str).collect()
}

/// The policies that are in force on routes by the Services that these send to.
pub(crate) fn effective(
    config: &Config,
    attached: Attached<'_>,
    policies: &[Policy],
    specs: &[Option<&Node>],
) -> Vec<Effective> {
    let is_of_services = |it: &&Policy| it.is_of_services();
    if policies.iter().find(is_of_services).is_none() {
        return Vec::new();
    }
    let uses = Uses::read(config, attached.model);
    let mut found = Vec::new();
    for (policy, _) in policies
        .iter()
        .enumerate()
        .filter(|(_, it)| it.is_of_services())
    {
        let mut it = Effective::alone(policy, specs[policy]);
        for (manager, place) in attached.http.iter().enumerate() {
            let governed = place.attachments.services();
            if !governed.iter().any(|it| it.policy == policy) {
                continue;
            }
            let source = attached.model.managers[manager].route_source.config();
            let is_here = |id: &RouteId| Some(id.config) == source;
            let mut routes: BTreeSet<RouteId> = BTreeSet::new();
            for (name, senders) in &uses.senders {
                let senders = senders.iter().filter_map(|(sender, _)| match sender {
                    Sender::Route(id) => Some(*id),
                    Sender::L4Proxy(_) => None,
                });
                let senders: Vec<RouteId> = senders.filter(is_here).collect();
                let cluster = uses.places.get(name).and_then(|it| config.at(it));
                let service = place.attachments.service_of(&Cluster {
                    name: name.as_bytes(),
                    backends: &cluster.map(backends).unwrap_or_default(),
                });
                let is_its = service.is_some_and(|it| governed[it].policy == policy);
                if is_its && !senders.is_empty() {
                    routes.extend(&senders);
                    it.clusters.entry(name.clone()).or_default().extend(senders);
                }
            }
            // Where these send to is known only with the request.
            routes.extend(uses.by_request.iter().copied().filter(is_here));
            it.sends.extend(routes.into_iter().map(|id| (manager, id)));
        }
        found.extend((!it.sends.is_empty()).then_some(it));
    }
    found
}

/// The Services that no cluster of the configuration is.
pub(crate) fn missing(
    config: &Config,
    attached: Attached<'_>,
    policies: &[Policy],
) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        for (item, target) in policy.targets.iter().enumerate() {
            if target.kind != TargetKind::Service {
                continue;
            }
            let service = target.object.to_string();
            let clusters = config.clusters();
            let clusters = clusters.iter().filter_map(|it| config.at(it));
            let clusters: Vec<(&str, Vec<&str>)> = clusters
                .filter_map(|it| Some((it.field("name")?.as_str()?, backends(it))))
                .collect();
            let is_it = |(name, backends): &(&str, Vec<&str>)| {
                let name = name.as_bytes();
                attached.http.iter().any(|it| {
                    let cluster = Cluster { name, backends };
                    let names = cluster.services(it.attachments.default_namespace());
                    names.contains(&service)
                })
            };
            if clusters.iter().any(is_it) {
                continue;
            }
            let names = clusters
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect();
            let steps = [
                Step::field("spec"),
                Step::field("targetRefs"),
                Step::Item(item),
            ];
            missing.push(Missing {
                policy: index,
                path: steps.into_iter().collect::<FieldPath>(),
                reason: TargetNotFound::Service {
                    suggestion: Suggestion::of(&target.object.name, names),
                    target: target.clone(),
                },
            });
        }
    }
    missing
}

/// Notes where the `retryConstraint` of a route's own policy is in force in place of that of
/// the Service.
pub(crate) fn note_own(effective: &mut [Effective], model: &Model, policies: &[Policy]) {
    for index in 0..effective.len() {
        let sends = effective[index].sends.iter();
        let notes: BTreeSet<String> = sends
            .filter_map(|(manager, route)| {
                let by = own_constraint(effective, *manager, *route)?;
                let title = model.route(*route).title();
                let by = &policies[by].name;
                Some(format!(
                    "route {title}: retryConstraint of {by}, which governs the route, is in \
                     force there instead"
                ))
            })
            .collect();
        effective[index].notes.extend(notes);
    }
}

/// The policy of a route that bounds its retries itself.
pub(crate) fn own_constraint(
    effective: &[Effective],
    manager: usize,
    route: RouteId,
) -> Option<usize> {
    let mut own = effective.iter();
    let own = own.find(|it| it.routes.contains(&(manager, route)))?;
    field(&own.spec, "retryConstraint").map(|_| own.policy)
}
