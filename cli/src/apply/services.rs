//! Policies of Services (`XBackendTrafficPolicy`): their clusters in a configuration, the
//! routes that send to these, and where a route's own policy wins.

use std::borrow::Cow;
use std::collections::BTreeSet;

use btp_policy::Policy;
use btp_policy::attach::{Cluster, service_of_backend};
use btp_policy::node::{Node, Value};
use btp_policy::path::{FieldPath, Step};
use btp_policy::policy::{TargetKind, is_of_services};

use super::attach::Attached;
use super::effective::Effective;
use super::missing::{Missing, Suggestion, TargetNotFound};
use super::uses::Uses;
use crate::envoy::files::Config;
use crate::envoy::model::{Model, RouteId, Sender};
use crate::envoy::tree::{field, find, items, text};

/// What they can say.
const FIELDS: [&str; 2] = ["retryConstraint", SESSION_PERSISTENCE];

/// The one that Envoy enforces.
pub(crate) const SESSION_PERSISTENCE: &str = "sessionPersistence";

/// What Envoy enforces of a policy: of one of Services the part that a BackendTrafficPolicy
/// has as well, else its whole spec, in which each field is known by its name.
pub(crate) fn native_spec(policy: &Node) -> Option<Cow<'_, Node>> {
    let spec = policy.field("spec")?;
    Some(match is_of_services(policy) {
        true => Cow::Owned(native_part(spec)),
        false => Cow::Borrowed(spec),
    })
}

/// The part of such a policy's spec that Envoy enforces, as a BackendTrafficPolicy has it.
pub(crate) fn native_part(spec: &Node) -> Node {
    let mut part = spec.clone();
    if let Value::Map(fields) = &mut part.value {
        fields.retain(|it| it.key == SESSION_PERSISTENCE);
    }
    part
}

/// The Services that a cluster's metadata says it stands for, as `namespace/name` or
/// `namespace/name/port`.
pub(crate) fn backends(cluster: &Node) -> Vec<String> {
    said(cluster).iter().filter_map(backend).collect()
}

/// Whether one of them is written as an object.
pub(crate) fn says_objects(cluster: &Node) -> bool {
    said(cluster)
        .iter()
        .any(|it| matches!(it.value, Value::Map(_)))
}

/// The indices of those that are no Services.
pub(crate) fn wrong_backends(cluster: &Node) -> Vec<usize> {
    let all = said(cluster).iter().enumerate();
    let is_wrong = |it: &Node| backend(it).is_none_or(|it| service_of_backend(&it).is_none());
    all.filter(|(_, it)| is_wrong(it))
        .map(|(index, _)| index)
        .collect()
}

fn said(cluster: &Node) -> &[Node] {
    let namespace = find(cluster, &["metadata", "filter_metadata", "btp"]);
    namespace.map_or(&[], |it| items(it, "backends"))
}

fn backend(said: &Node) -> Option<String> {
    if let Some(text) = said.as_str() {
        return Some(text.to_owned());
    }
    let (namespace, name) = (text(said, "namespace")?, text(said, "name")?);
    Some(match field(said, "port").map(|it| &it.value) {
        Some(Value::Int(port)) => format!("{namespace}/{name}/{port}"),
        Some(_) => return None,
        None => format!("{namespace}/{name}"),
    })
}

/// Adds the policies that are in force on routes by the Services that these send to, in
/// their places.
pub(crate) fn add(
    config: &Config,
    attached: Attached<'_>,
    policies: &[Policy],
    specs: &[Option<&Node>],
    effective: &mut Vec<Effective>,
) {
    effective.extend(of_services(config, attached, policies, specs));
    effective.sort_by_key(|it| (it.policy, it.parents.clone()));
    note_own(effective, attached.model, policies);
}

fn of_services(
    config: &Config,
    attached: Attached<'_>,
    policies: &[Policy],
    specs: &[Option<&Node>],
) -> Vec<Effective> {
    if !policies.iter().any(Policy::is_of_services) {
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
                let backends = cluster.map(backends).unwrap_or_default();
                let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
                let service = place.attachments.service_of(&Cluster {
                    name: name.as_bytes(),
                    backends: &backends,
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
            let clusters: Vec<(&str, Vec<String>)> = clusters
                .filter_map(|it| Some((it.field("name")?.as_str()?, backends(it))))
                .collect();
            let is_it = |(name, backends): &(&str, Vec<String>)| {
                let name = name.as_bytes();
                let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
                attached.http.iter().any(|it| {
                    let cluster = Cluster {
                        name,
                        backends: &backends,
                    };
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

/// Notes where a field of a route's own policy is in force in place of that of the Service.
fn note_own(effective: &mut [Effective], model: &Model, policies: &[Policy]) {
    for index in 0..effective.len() {
        let it = &effective[index];
        let notes: BTreeSet<String> = it
            .sends
            .iter()
            .flat_map(|(manager, route)| {
                let title = model.route(*route).title();
                let own = overridden(effective, it, *manager, *route).into_iter();
                own.map(move |(field, by)| {
                    let by = &policies[by].name;
                    format!(
                        "route {title}: {field} of {by}, the policy of the route, is in force \
                         instead"
                    )
                })
            })
            .collect();
        effective[index].notes.extend(notes);
    }
}

/// The fields of a policy of Services that the policy of a route has as well, each with that
/// policy, which wins.
pub(crate) fn overridden(
    effective: &[Effective],
    of_services: &Effective,
    manager: usize,
    route: RouteId,
) -> Vec<(&'static str, usize)> {
    let mut own = effective.iter();
    let own = own.find(|it| it.routes.contains(&(manager, route)));
    let has = |it: &Effective, name| field(&it.spec, name).is_some();
    let shared = FIELDS.into_iter().filter_map(|name| {
        let own = own.filter(|own| has(own, name) && has(of_services, name))?;
        Some((name, own.policy))
    });
    shared.collect()
}
