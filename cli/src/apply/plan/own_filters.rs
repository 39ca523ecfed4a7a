//! Clusters with HTTP filters of their own: Envoy runs these *instead of* those behind the
//! router, so the instance that must see every try is added to their list as well.

use std::collections::BTreeSet;
use std::rc::Rc;

use btp_policy::Code;
use btp_policy::node::Value;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use super::instances::{Inserted, note};
use crate::apply::effective::Effective;
use crate::apply::filter::{self, Already, Instance, insert_upstream};
use crate::apply::placement::Object;
use crate::apply::standing::Standing;
use crate::apply::uses::Uses;
use crate::envoy::address::Address;
use crate::envoy::model::{RouteId, Sender};
use crate::envoy::tree::{items, same};

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const LIST: &str = "http_filters";
const WHY: &str = "every attempt passes it; a cluster's own filters run instead of the router's";

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
    let mut with_own = BTreeSet::new();
    for (name, address) in &uses.places {
        let list_address = filters_of(address);
        let filters = match draft.at(&list_address).map(|it| &it.value) {
            Some(Value::List(filters)) if !filters.is_empty() => filters,
            _ => continue,
        };
        let already = Already::among(filters, LIST);
        let managers = managers_of(scene, &uses, name);
        let Some(instance) = instance_for(&managers, &inserted.upstream) else {
            continue;
        };
        let instance = match instance {
            Ok(instance) => instance,
            Err(other) => {
                let reason = format!(
                    "has its own http_filters, which Envoy runs for all listeners, but listener \
                     {} has different policies for attempts than the others that send here: give \
                     each listener its own cluster, or remove http_filters",
                    scene.places[other]
                );
                errors.refuse(draft.config(), address, Code::OwnHttpFilters, reason);
                continue;
            }
        };
        if let Some(already) = already {
            errors.refuse(
                draft.config(),
                address,
                Code::FilterIsThere,
                already.to_string(),
            );
            continue;
        }
        let list = draft.change_in(address, &list_address);
        let Some(Value::List(filters)) = list.map(|it| &mut it.value) else {
            continue;
        };
        let place = insert_upstream(filters, instance, scene.options);
        let owner = format!("cluster {name}");
        let standing = Standing::at(owner, LIST, filters, place, WHY);
        inserted.standing.push(standing);
        let object = |routes: Vec<RouteId>| Object::Cluster {
            name: name.clone(),
            senders: routes.into_iter().map(Sender::Route).collect(),
        };
        let routes = uses.routes_to(|it| it == name);
        note_tries(scene, effective, instance, &list_address, &routes, object);
        with_own.insert(name.as_str());
    }
    let without_own = uses.routes_to(|name| !with_own.contains(name));
    for (index, instance) in &inserted.upstream {
        let manager = &scene.model.managers[*index];
        let object = |routes| Object::Tries {
            listener: manager.listener_name.clone(),
            routes,
        };
        let ids = scene.model.ids_of(manager);
        let routes = ids.filter(|id| without_own.contains(id)).collect();
        if let Some(list) = behind_router(draft, &manager.address) {
            note_tries(scene, effective, instance, &list, &routes, object);
        }
    }
}

/// Notes an instance for the specs whose routes have tries that pass it.
fn note_tries(
    scene: Scene<'_>,
    effective: &mut [Effective],
    instance: &Instance,
    list: &Address,
    passing: &BTreeSet<RouteId>,
    object: impl Fn(Vec<RouteId>) -> Object,
) {
    let filter = Rc::new(filter::filter(instance, scene.options));
    for it in effective {
        let routes = it.all_routes().map(|(_, id)| id);
        let routes: BTreeSet<RouteId> = routes.filter(|id| passing.contains(id)).collect();
        if !routes.is_empty() {
            let object = object(routes.into_iter().collect());
            note(scene, it, instance, &filter, list, object);
        }
    }
}

/// The filters behind the router of a connection manager.
pub(super) fn behind_router(draft: &Draft<'_>, hcm: &Address) -> Option<Address> {
    let last = items(draft.at(hcm)?, "http_filters").len().checked_sub(1)?;
    let router = hcm.key("http_filters").item(last);
    Some(router.key("typed_config").key("upstream_http_filters"))
}

/// The connection managers that send to a cluster, or may do so.
fn managers_of(scene: Scene<'_>, uses: &Uses, cluster: &str) -> Vec<usize> {
    scene.model.managers_of(&uses.configs_of(cluster))
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
pub(super) fn filters_of(cluster: &Address) -> Address {
    let options = cluster.key("typed_extension_protocol_options").key(OPTIONS);
    options.key(LIST)
}
