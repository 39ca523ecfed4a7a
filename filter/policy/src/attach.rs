//! Which policy governs a request: the effective policy, by the Gateway API's rules.
//!
//! The most specific policy wins: the policy of the route's rule, else of the route, else
//! of the Gateway's listener, else of the Gateway, else the one without targets. If the
//! listener belongs to a ListenerSet, its policy replaces that of the Gateway's listener,
//! and the policy of the set comes next. Of two policies for the same target the older wins
//! (then the first by namespace and name), as in Envoy Gateway.
//!
//! An `XBackendTrafficPolicy` applies in addition, by the Service behind the request's
//! cluster.

mod cluster;
mod connections;
mod resolve;
mod route;
mod status;

use std::collections::BTreeMap;

pub use cluster::{Cluster, GovernedService, service_of_backend};
pub use connections::Levels;
pub use route::{NamedObject, ResourceRef, Route, named_object};
pub use status::{Condition, Reason, Status};

use crate::labels::Labels;
use crate::policy::{Namespaces, Policy, TargetKind};
use crate::scalar::ObjectName;

/// What the policies are attached to: the place of this instance.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The Gateway that this instance stands for.
    pub gateway: Option<Gateway>,
    /// What is known of namespaces.
    pub namespaces: BTreeMap<String, Namespace>,
}

/// The Gateway that this instance stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its name.
    pub name: ObjectName,
    /// Which of its listeners, or of the set's; `None`: not known.
    pub listener: Option<String>,
    /// The ListenerSet that the listener is of; `None`: it is the Gateway's own.
    pub listener_set: Option<ListenerSet>,
    /// Its labels.
    pub labels: Labels,
}

/// Listeners that are added to a Gateway from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSet {
    /// Its name.
    pub name: ObjectName,
    /// Its labels.
    pub labels: Labels,
}

/// What is known of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its labels.
    pub labels: Labels,
    /// The administrator's switch: its policies are out of force.
    pub disabled: bool,
}

/// The policies by what they govern.
#[derive(Clone, Debug, Default)]
pub struct Attachments {
    routes: BTreeMap<TargetKind, BTreeMap<String, RouteEntry>>,
    selectors: Vec<RouteSelector>,
    /// By Service; each once.
    services: Vec<GovernedService>,
    /// Rank of each policy: the lower one of two wins.
    ranks: Vec<usize>,
    /// The policies of the listener, of its ListenerSet and of the Gateway, or else the
    /// one without targets. The first governs what no route's policy governs, and is
    /// what a policy with `mergeType` merges with.
    above: Vec<usize>,
    untargeted: Option<usize>,
    /// The policy that governs all routes, if that is known beforehand.
    of_all: Option<usize>,
    /// The name of the only route, if that is known beforehand.
    only: Option<String>,
    default_namespace: String,
    statuses: Vec<Status>,
}

/// The policies of one route, by `namespace/name`.
#[derive(Clone, Debug, Default)]
struct RouteEntry {
    whole: Option<usize>,
    sections: BTreeMap<String, usize>,
}

/// A policy that picks routes by label.
#[derive(Clone, Debug)]
struct RouteSelector {
    policy: usize,
    kind: TargetKind,
    labels: crate::labels::LabelSelector,
    /// The namespaces it looks in; `None`: all.
    namespaces: Option<Vec<String>>,
}

impl Attachments {
    /// Attaches policies to their targets.
    #[must_use]
    pub fn resolve(policies: &[Policy], environment: &Environment) -> Self {
        resolve::resolve(policies, environment)
    }

    /// The policy of this index governs all routes, and each request has one or is
    /// governed by the same.
    pub fn know_policy_of_all(&mut self, index: usize) {
        self.of_all = Some(index);
    }

    /// There is one route, of this name, and each request takes it or is governed by the
    /// same policy.
    pub fn know_only_route(&mut self, name: String) {
        self.only = Some(name);
    }

    /// The index of the policy that governs all requests, if that is known beforehand.
    #[must_use]
    pub fn of_all(&self) -> Option<usize> {
        self.of_all
    }

    /// The name of the route that all requests take, if that is known beforehand.
    #[must_use]
    pub fn only_route(&self) -> Option<&str> {
        self.only.as_deref()
    }

    /// Whether the effective policy depends on the route at all.
    #[must_use]
    pub fn needs_route_name(&self) -> bool {
        self.routes.keys().any(|kind| kind.is_http_route()) || self.needs_labels()
    }

    /// Whether it depends on the labels of routes.
    #[must_use]
    pub fn needs_labels(&self) -> bool {
        self.selectors.iter().any(|it| it.kind.is_http_route())
    }

    /// The index of the policy that governs a request on the Envoy route of
    /// this name; `None` for a request that no route took.
    #[must_use]
    pub fn effective_policy(&self, route: Option<&[u8]>) -> Option<usize> {
        match route {
            Some(name) => self.effective_policy_of(&Route::named(name)),
            None => self.fallback(),
        }
    }

    /// The index of the policy that governs a request on this route. If the
    /// route's metadata says what it was made from, its name says nothing.
    #[must_use]
    pub fn effective_policy_of(&self, route: &Route<'_>) -> Option<usize> {
        let by_metadata = route.resources.iter().find_map(|resource| {
            let kind = TargetKind::from_name(resource.kind).filter(|it| it.is_http_route())?;
            let object = format!("{}/{}", resource.namespace, resource.name);
            let index = route::rule_index(route.name);
            let sections = resource.section.into_iter().chain(index);
            self.of_object(&[kind], &object, sections, route)
        });
        let is_known = |resource: &ResourceRef<'_>| {
            TargetKind::from_name(resource.kind).is_some_and(TargetKind::is_route)
        };
        if route.resources.iter().any(is_known) {
            return by_metadata.or(self.fallback());
        }
        self.by_name(route).or(self.fallback())
    }

    /// The Services that policies are for.
    #[must_use]
    pub fn services(&self) -> &[GovernedService] {
        &self.services
    }

    /// Which of them a cluster is, as an index.
    #[must_use]
    pub fn service_of(&self, cluster: &Cluster<'_>) -> Option<usize> {
        let names = cluster.services(&self.default_namespace);
        let mut names = names.iter();
        names.find_map(|name| self.services.iter().position(|it| it.service == *name))
    }

    /// The namespace of clusters whose names say none.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        &self.default_namespace
    }

    /// The index of the policy that governs requests which no route took.
    #[must_use]
    pub fn fallback(&self) -> Option<usize> {
        self.above.first().copied()
    }

    /// The index of the policy that those with a `mergeType` merge with.
    #[must_use]
    pub fn parent(&self) -> Option<usize> {
        self.fallback()
    }

    /// What became of each policy, in document order.
    #[must_use]
    pub fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    fn by_name(&self, route: &Route<'_>) -> Option<usize> {
        let interpretations = route::interpretations(route.name, &self.default_namespace);
        let is_named = |object: &str| {
            let mut tables = route::EITHER
                .iter()
                .filter_map(|kind| self.routes.get(kind));
            tables.any(|table| table.contains_key(object))
        };
        let mut interpretations = interpretations
            .into_iter()
            .filter(|interpretation| !interpretation.is_guess || is_named(&interpretation.object));
        interpretations.find_map(|interpretation| {
            let sections = interpretation.section.into_iter();
            self.of_object(
                interpretation.kinds,
                &interpretation.object,
                sections,
                route,
            )
        })
    }

    /// The policy of one of the sections, else of the whole object.
    fn of_object<'a>(
        &self,
        kinds: &[TargetKind],
        object: &str,
        sections: impl Iterator<Item = &'a str>,
        route: &Route<'_>,
    ) -> Option<usize> {
        self.of_rule(kinds, object, sections)
            .or_else(|| self.of_whole(kinds, object, route))
    }

    /// The policy of one of the sections.
    fn of_rule<'a>(
        &self,
        kinds: &[TargetKind],
        object: &str,
        mut sections: impl Iterator<Item = &'a str>,
    ) -> Option<usize> {
        sections.find_map(|section| {
            let mut entries = self.entries(kinds, object);
            entries.find_map(|entry| entry.sections.get(section).copied())
        })
    }

    /// The policy of the whole object, by its name or its labels.
    fn of_whole(&self, kinds: &[TargetKind], object: &str, route: &Route<'_>) -> Option<usize> {
        let named = self.entries(kinds, object).filter_map(|entry| entry.whole);
        let namespace = object.split('/').next().unwrap_or("");
        let picked = self.selectors.iter().filter(|selector| {
            kinds.contains(&selector.kind)
                && selector
                    .namespaces
                    .as_ref()
                    .is_none_or(|names| names.iter().any(|name| name == namespace))
                && selector.labels.matches(|key| route.label(key))
        });
        let picked = picked.map(|selector| selector.policy);
        named
            .chain(picked)
            .min_by_key(|policy| self.ranks.get(*policy).copied())
    }

    fn entries(&self, kinds: &[TargetKind], object: &str) -> impl Iterator<Item = &RouteEntry> {
        let tables = kinds.iter().filter_map(|kind| self.routes.get(kind));
        tables.filter_map(move |table| table.get(object))
    }
}

/// The namespaces that a policy of `home` looks in; `None`: all.
fn namespaces_of(
    namespaces: &Namespaces,
    home: &str,
    environment: &Environment,
) -> Option<Vec<String>> {
    match namespaces {
        Namespaces::Same => Some(vec![home.to_owned()]),
        Namespaces::All => None,
        Namespaces::Selector(selector) => {
            let known = environment.namespaces.iter();
            let picked = known.filter(|(_, namespace)| {
                selector.matches(|key| namespace.labels.get(key).map(String::as_str))
            });
            Some(picked.map(|(name, _)| name.clone()).collect())
        }
    }
}

#[cfg(test)]
mod tests;
