//! `rateLimit.global`: the filter that calls a rate limit service, its cluster, the actions
//! of the routes, and the file that tells the service the limits.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::Code;
use btp_policy::node::Node;
use btp_policy::path::FieldPath;
use btp_policy::spec::Capability;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use super::perform::{Changed, perform};
use super::spots::Spots;
use crate::apply::effective::Effective;
use crate::apply::order::Group;
use crate::envoy::address::Address;
use crate::envoy::files::{Config, Kind};
use crate::envoy::model::RouteId;
use crate::envoy::tree::{field, items, list_mut, text};
use crate::envoy::undo;
use crate::translate::global_rate_limit::{self, Counters, FIELD, NAME, RouteKey, per_route};
use crate::translate::{Change, FilterPlace, Operation, Path, Service, Step, Target};

/// Why a route is not limited. Envoy's filter passes over it.
const NO_BACKEND: &str = "Envoy counts only requests to a backend there, not those that it \
    answers itself (direct_response, redirect); rateLimit.local counts these, too";

/// What came of it.
pub(super) struct RateLimits {
    /// What the service is to read.
    pub(super) file: String,
    /// What a person should know of it.
    pub(super) notes: Vec<String>,
}

/// Puts global limits into force, if there is a service.
pub(super) fn apply(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) -> Option<RateLimits> {
    let service = scene.options.rate_limits.as_ref()?;
    let mut counters = Counters::default();
    let mut managers = BTreeSet::new();
    check_names(scene, effective, errors);
    for it in effective.iter_mut() {
        managers.extend(on_routes(scene, draft, it, &mut counters, errors));
    }
    let filter = service.filter();
    for index in &managers {
        insert(scene, draft, *index, &filter, errors);
        note(scene, draft, *index, &filter, effective, errors);
    }
    if let Some(first) = managers.first() {
        add_cluster(scene, draft, *first, service, errors);
    }
    Some(RateLimits {
        file: global_rate_limit::file(&counters, service),
        notes: match managers.is_empty() {
            true => Vec::new(),
            false => notes(service),
        },
    })
}

/// Notes about the service's treatment of requests, which the configuration does not show.
fn notes(service: &Service) -> Vec<String> {
    let Service {
        endpoint,
        domain,
        timeout,
        ..
    } = service;
    let domain = domain.as_str();
    let down = match service.fail_closed {
        true => "is answered 503 (--rate-limit-fail-closed)",
        false => "passes uncounted; with --rate-limit-fail-closed it is answered 503",
    };
    vec![
        format!(
            "{endpoint} counts rateLimit.global in the domain {domain}, in fixed windows: twice \
             the limit can pass around the end of a window"
        ),
        format!("a request that {endpoint} does not answer within {timeout} {down}"),
    ]
}

/// What a route is known by to the service.
fn key_of(scene: Scene<'_>, route: RouteId) -> RouteKey {
    let entry = scene.model.route(route);
    let home = &entry.home;
    RouteKey::new(&home.table, &home.virtual_host, &entry.name, home.index)
}

/// Refuses routes that a service could not tell apart and that have other rules.
fn check_names(scene: Scene<'_>, effective: &[Effective], errors: &mut Errors<'_>) {
    let mut known: BTreeMap<RouteKey, &Effective> = BTreeMap::new();
    for it in effective {
        let own = it.global_rules.iter().any(|rule| !rule.is_shared());
        for (_, id) in it.routes.iter().filter(|_| own) {
            let other = *known.entry(key_of(scene, *id)).or_insert(it);
            if other.global_rules != it.global_rules || other.policy != it.policy {
                let entry = scene.model.route(*id);
                let reason = format!(
                    "cannot be counted on route {} separately from that of {}: another route has \
                     the same name, in a virtual host {:?} and a route configuration {:?} of the \
                     same names. Rename one of the three, or set shared: true in the rules",
                    entry.title(),
                    scene.policies[other.policy].name,
                    entry.home.virtual_host,
                    entry.home.table,
                );
                errors.refuse_field(
                    it.policy,
                    FieldPath::written(&format!("spec.{FIELD}")),
                    Code::UncountableRoute,
                    reason,
                );
            }
        }
    }
}

/// Has the routes of a spec ask the service; gives their connection managers.
fn on_routes(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    it: &mut Effective,
    counters: &mut Counters,
    errors: &mut Errors<'_>,
) -> BTreeSet<usize> {
    let mut managers = BTreeSet::new();
    if it.global_rules.is_empty() {
        return managers;
    }
    let mut without_backend = Vec::new();
    let mut done = BTreeSet::new();
    for (manager, id) in it.routes.clone() {
        let entry = scene.model.route(id);
        let has_backend = draft
            .at(&entry.address)
            .is_some_and(|it| field(it, "route").is_some());
        if has_backend {
            managers.insert(manager);
        }
        if !done.insert(id) {
            continue;
        }
        let key = key_of(scene, id);
        let operation = match has_backend {
            true => {
                counters.add(&it.global_rules, &key);
                Operation::Set(per_route(&it.global_rules, &key))
            }
            false => {
                without_backend.push(entry.title());
                Operation::Nothing(NO_BACKEND)
            }
        };
        let settings = Path::new("typed_per_filter_config");
        let change = Change {
            field: format!("spec.{FIELD}"),
            also: Vec::new(),
            target: Target::Route,
            path: settings.then(Step::Field(NAME.to_owned())),
            operation,
        };
        let route = Changed::route(scene, id);
        perform(scene, draft, it, &change, &route, errors);
    }
    if !without_backend.is_empty() {
        let routes = without_backend.join(", ");
        let reason = format!("is not in force on {routes}: {NO_BACKEND}");
        match managers.is_empty() {
            true => errors.lint(
                it.policy,
                FieldPath::written(&format!("spec.{FIELD}")),
                Code::RouteWithoutBackend,
                reason,
            ),
            false => it.notes.push(format!("{FIELD} {reason}")),
        }
    }
    if !it.default_for.is_empty() {
        let note = "rateLimit.global does not count requests that match no route: only a route \
            can enable it";
        it.notes.push(note.to_owned());
    }
    managers
}

/// Puts the filter where limits belong. Instances of ours come in front of it.
fn insert(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    index: usize,
    filter: &Node,
    errors: &mut Errors<'_>,
) {
    let manager = &scene.model.managers[index];
    let Some(hcm) = draft.at(&manager.address) else {
        return;
    };
    let mut filters = items(hcm, "http_filters").iter();
    if let Some(other) = filters.position(|it| text(it, "name") == Some(NAME)) {
        let filter = manager.address.key("http_filters").item(other);
        let reason = format!(
            "has the name {NAME}, which the filter for the rate limit service needs: rename it"
        );
        return errors.refuse(draft.config(), &filter, Code::ServiceNameTaken, reason);
    }
    let spots = Spots::find(scene, draft.config(), manager, hcm);
    spots.refuse_unknown(&[Capability::RateLimit], errors);
    let place = spots.of(Group::Limits).place;
    if let Some(hcm) = draft.change_in(&manager.listener, &manager.address) {
        match list_mut(hcm, "http_filters") {
            Ok(filters) => filters.insert(place.min(filters.len()), filter.clone()),
            Err(wrong) => errors.wrong_kind(draft.config(), &manager.address, &wrong),
        }
    }
}

/// Records the filter for the specs whose routes it adds descriptors to.
fn note(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    index: usize,
    filter: &Node,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) {
    let change = Change {
        field: format!("spec.{FIELD}"),
        also: Vec::new(),
        target: Target::HttpConnectionManager,
        path: "http_filters".into(),
        operation: Operation::HttpFilter(filter.clone(), FilterPlace::BehindLimits),
    };
    let on = Changed::manager(scene, index);
    for it in effective.iter_mut() {
        let has_routes = it.routes.iter().any(|(manager, _)| *manager == index);
        if has_routes && !it.global_rules.is_empty() {
            perform(scene, draft, it, &change, &on, errors);
        }
    }
}

/// Adds the cluster: to the file of clusters if there is one, as an Envoy that runs
/// reads that again.
fn add_cluster(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    manager: usize,
    service: &Service,
    errors: &mut Errors<'_>,
) {
    let clusters = draft.config().clusters();
    let named = |it: &Address| draft.at(it).and_then(|it| text(it, "name")) == Some(NAME);
    if let Some(other) = clusters.iter().find(|it| named(it)) {
        let reason = format!(
            "has the name {NAME}, which the cluster of the rate limit service needs: rename it"
        );
        return errors.refuse(draft.config(), other, Code::ServiceNameTaken, reason);
    }
    let file = file_of_clusters(draft.config());
    if file.is_none() {
        let listener = &scene.model.managers[manager].listener;
        if let Err(wrong) = draft.make_clusters(listener) {
            return errors.wrong_kind(draft.config(), &Address::root(0), &wrong);
        }
    }
    let root = Address::root(0).key("static_resources").key("clusters");
    let list = file.clone().unwrap_or(root);
    let mut cluster = service.cluster(file.is_some());
    match undo::mark_made_for(&mut cluster, FIELD) {
        Ok(()) => drop(draft.add(&list, cluster)),
        Err(wrong) => errors.wrong_kind(draft.config(), &list, &wrong),
    }
}

/// The list in the file of clusters.
fn file_of_clusters(config: &Config) -> Option<Address> {
    let files = config.files.iter();
    let index = files
        .enumerate()
        .find(|(_, file)| file.kind == Kind::Clusters)
        .map(|(index, _)| index)?;
    let list = Address::root(index).key("resources");
    config.at(&list).map(|_| list)
}
