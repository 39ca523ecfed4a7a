//! Requirements on a configuration before policies are put into it.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::problem::Problem;
use btp_policy::spec::Capability;

use super::Scene;
use super::errors::Errors;
use crate::apply::effective::Effective;
use crate::apply::needs::Needs;
use crate::apply::options::Options;
use crate::apply::overlap::overlaps;
use crate::apply::services::wrong_backends;
use crate::envoy::address::Address;
use crate::envoy::files::{Config, path_of};
use crate::envoy::model::{HttpConnectionManager, Model, RouteSource};
use crate::envoy::tree::{find, text};

/// Refuses a configuration without anything to govern, or that the options do
/// not fit, and warns of what is not seen of it.
pub(super) fn configuration(
    config: &Config,
    model: &Model,
    options: &Options,
    errors: &mut Errors<'_>,
) {
    if model.managers.is_empty() && model.l4_proxies.iter().all(|it| it.l4.is_none()) {
        let reason = "contains no HTTP connection manager, tcp_proxy or udp_proxy that policies \
            can apply to";
        errors.file(0, Problem::new("", Code::NothingToGovern, reason));
    }
    let routes = model.route_configs.iter().flat_map(|it| &it.routes);
    let routes = routes.map(|it| it.address.clone());
    let objects = config.listeners().into_iter().chain(config.clusters());
    for address in objects.chain(routes) {
        if config
            .at(&address)
            .is_some_and(|it| !matches!(it.value, Value::Map(_)))
        {
            errors.refuse(config, &address, Code::WrongShape, "must be an object");
        }
    }
    for address in config.clusters() {
        let wrong = config.at(&address).map(wrong_backends).unwrap_or_default();
        let list = ["metadata", "filter_metadata", "btp", "backends"];
        let list = list.iter().fold(address, |it, key| it.key(key));
        for index in wrong {
            let reason = "must be a Service: a string such as shop/payments/8080, or an object \
                with namespace, name and port";
            errors.refuse(config, &list.item(index), Code::WrongShape, reason);
        }
    }
    for it in overlaps(config, model) {
        errors.file(it.address.file, it.problem(config));
    }
    let root = config.files.first().map(|file| &file.node);
    let source = root.and_then(|it| find(it, &["dynamic_resources", "lds_config"]));
    if source.is_some_and(|source| path_of(source).is_none()) {
        let reason = "are incomplete: these policies do not apply to listeners that a management \
            server sends";
        let problem = Problem::new(
            "dynamic_resources.lds_config: the listeners",
            Code::ListenersUnseen,
            reason,
        );
        errors.warn(0, problem);
    }
    let is_known = |name| root.is_some_and(|it| find(it, &["node", name]).is_some());
    if options.ecds.is_some() && !(is_known("id") && is_known("cluster")) {
        let reason = "must have id and cluster: without them Envoy does not watch files (--ecds)";
        errors.file(0, Problem::new("node", Code::NodeWithoutId, reason));
    }
}

/// Refuses routes that cannot be seen, or not be told apart.
pub(super) fn routes(scene: Scene<'_>, config: &Config, errors: &mut Errors<'_>) {
    for (index, manager) in scene.model.managers.iter().enumerate() {
        routes_of(scene, index, manager, config, errors);
    }
}

/// Refuses routes under a retry budget, and their virtual hosts, that retry on
/// what the budget stops the router by.
pub(super) fn retry_triggers(
    scene: Scene<'_>,
    config: &Config,
    effective: &[Effective],
    errors: &mut Errors<'_>,
) {
    let mut known = BTreeSet::new();
    let mut places: Vec<Address> = Vec::new();
    for it in effective {
        if !Needs::of(&it.spec).behind.contains(&Capability::Retry) {
            continue;
        }
        for (_, id) in it.all_routes() {
            let route = &scene.model.route(id).address;
            let mut host = route.clone();
            host.path.truncate(host.path.len().saturating_sub(2));
            for place in [route.clone(), host] {
                if known.insert(place.clone()) {
                    places.push(place);
                }
            }
        }
    }
    for place in &places {
        retry_trigger(place, config, errors);
    }
}

/// A budget stops the router by `x-envoy-ratelimited`, which this trigger
/// turns into the opposite.
fn retry_trigger(place: &Address, config: &Config, errors: &mut Errors<'_>) {
    const TRIGGER: &str = "envoy-ratelimited";
    let retry_on = |node: &Node, path: &[&str]| {
        let policy = find(node, path)?;
        let retry_on = text(policy, "retry_on")?;
        Some(retry_on.split(',').any(|it| it.trim() == TRIGGER))
    };
    let Some(node) = config.at(place) else {
        return;
    };
    let paths = [&["route", "retry_policy"][..], &["retry_policy"]];
    if paths.iter().any(|path| retry_on(node, path) == Some(true)) {
        let reason = "retries on envoy-ratelimited, which a retryConstraint uses to stop retries: \
            remove it from retry_on";
        errors.refuse(config, place, Code::StopsRetries, reason);
    }
}

fn routes_of(
    scene: Scene<'_>,
    index: usize,
    manager: &HttpConnectionManager,
    config: &Config,
    errors: &mut Errors<'_>,
) {
    let it = &scene.attached[index];
    let is_governed = it.attachments.fallback().is_some();
    let config_index = match manager.route_source {
        RouteSource::Seen(config) => config,
        RouteSource::Unseen(what) if is_governed => {
            let reason = format!(
                "takes its routes from {what}: a policy of its Gateway, or one without targets, \
                 cannot be put into force on routes that are not in these files"
            );
            return errors.refuse(config, &manager.address, Code::UnseenRoutes, reason);
        }
        RouteSource::Unseen(_) | RouteSource::Nowhere => return,
    };
    let routes = scene.model.routes_of(manager);
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, entry) in routes.iter().enumerate() {
        if entry.name.is_empty() {
            continue;
        }
        let first = *by_name.entry(&entry.name).or_insert(place);
        if it.routes[first] != it.routes[place] {
            let name = |policy: Option<usize>| match policy {
                Some(policy) => scene.policies[policy].name.to_string(),
                None => "no policy".to_owned(),
            };
            let reason = format!(
                "has the name {:?}, as {} has, but a different policy ({} here, {} there): the \
                 filter identifies routes by name, so rename one of them",
                entry.name,
                routes[first].address,
                name(it.routes[place]),
                name(it.routes[first]),
            );
            errors.refuse(config, &entry.address, Code::RouteNameTaken, reason);
        }
    }
    let others = scene.model.managers[..index].iter().zip(scene.attached);
    for (other, attached) in others {
        let merges = it.routes.iter().flatten();
        let mut merges = merges.map(|policy| scene.policies[*policy].merge.is_some());
        let is_same = attached.routes == it.routes
            && (attached.attachments.parent() == it.attachments.parent()
                || !merges.any(|merges| merges));
        if other.route_source == RouteSource::Seen(config_index) && !is_same {
            let reason = format!(
                "has the same routes as listener {}, but different policies for them: give each \
                 listener its own routes",
                other.listener_name
            );
            errors.refuse(config, &manager.address, Code::SharedRoutes, reason);
        }
    }
}
