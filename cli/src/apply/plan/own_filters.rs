//! Clusters with HTTP filters of their own: Envoy runs these *instead of*
//! those behind the router, so the instance that sees every try goes into
//! their list as well.

use btp_policy::node::Value;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use super::instances::Inserted;
use super::native::uses::Uses;
use crate::apply::effective::Effective;
use crate::apply::filter::{Instance, insert_upstream};
use crate::apply::placement::Destination;
use crate::apply::standing::Standing;
use crate::envoy::address::Address;
use crate::envoy::tree::same;

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const LIST: &str = "http_filters";
const WHY: &str = "every try passes it; a cluster's own filters run instead of the router's";

/// Puts the instances behind the router into the clusters that have filters of
/// their own.
pub(super) fn insert(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
    inserted: &mut Inserted,
) {
    if inserted.upstream.is_empty() {
        return;
    }
    let uses = Uses::read(draft.config(), scene.model);
    for (name, address) in &uses.places {
        let list = filters_of(address);
        let filters = draft.at(&list).map(|it| &it.value);
        if !matches!(filters, Some(Value::List(filters)) if !filters.is_empty()) {
            continue;
        }
        let managers = managers_of(scene, &uses, name);
        let Some(instance) = instance_for(&managers, &inserted.upstream) else {
            continue;
        };
        let instance = match instance {
            Ok(instance) => instance,
            Err(other) => {
                let reason = format!(
                    "has http_filters of its own, which Envoy runs for every listener alike, and \
                     listener {} has other policies for each try than the others that send here: \
                     give each listener a cluster of its own, or take http_filters out",
                    scene.places[other]
                );
                errors.refuse(draft.config(), address, reason);
                continue;
            }
        };
        let list = draft.change_in(address, &list).map(|it| &mut it.value);
        let Some(Value::List(filters)) = list else {
            continue;
        };
        insert_upstream(filters, instance, scene.options);
        let owner = format!("cluster {name}");
        let standing = Standing::at(owner, LIST, filters, 0, WHY);
        let place = Destination::FilterOfCluster {
            cluster: name.clone(),
            name: instance.name.clone(),
        };
        for it in effective.iter_mut() {
            if managers.iter().any(|manager| it.is_in(*manager)) {
                it.enforced_in(instance, &place);
            }
        }
        inserted.standing.push(standing);
    }
}

/// The connection managers that send to a cluster, or may do so.
fn managers_of(scene: Scene<'_>, uses: &Uses, cluster: &str) -> Vec<usize> {
    let configs = uses.configs_of(cluster);
    let managers = scene.model.managers.iter().enumerate();
    let managers = managers.filter(|(_, it)| {
        let config = it.route_source.config();
        config.is_some_and(|config| configs.contains(&config))
    });
    managers.map(|(index, _)| index).collect()
}

/// The instance that these connection managers need behind the router, if any
/// does; else the one that needs another, or none.
fn instance_for<'a>(
    managers: &[usize],
    upstream: &'a [(usize, Instance)],
) -> Option<Result<&'a Instance, usize>> {
    let of = |manager: usize| {
        let found = upstream.iter().find(|(it, _)| *it == manager);
        found.map(|(_, instance)| instance)
    };
    let wanted = managers.iter().find_map(|it| of(*it))?;
    let is_same = |it: &Instance| same(&it.config, &wanted.config);
    let other = managers.iter().find(|it| !of(**it).is_some_and(is_same));
    Some(other.map_or(Ok(wanted), |other| Err(*other)))
}

/// The list of a cluster's own filters.
fn filters_of(cluster: &Address) -> Address {
    let options = cluster.key("typed_extension_protocol_options").key(OPTIONS);
    options.key(LIST)
}
