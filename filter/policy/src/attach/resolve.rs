//! Attaches policies to their targets, in order of precedence.

use super::{
    Attachments, Environment, GovernedService, Reason, RouteEntry, RouteSelector, Status,
    namespaces_of,
};
use crate::policy::{DEFAULT_NAMESPACE, Policy, Target, TargetKind, TargetSelector};
use crate::sort;

/// The places above routes, one policy each.
#[derive(Default)]
struct GatewayLevel {
    /// The policy of the Gateway's listener, or of the ListenerSet's.
    listener: Option<usize>,
    listener_set: Option<usize>,
    gateway: Option<usize>,
    untargeted: Option<usize>,
}

pub(super) fn resolve(policies: &[Policy], environment: &Environment) -> Attachments {
    let gateway = environment.gateway.as_ref();
    let namespace = gateway.map_or(DEFAULT_NAMESPACE, |gateway| &gateway.name.namespace);
    let mut resolver = Resolver {
        policies,
        environment,
        above: GatewayLevel::default(),
        attachments: Attachments {
            default_namespace: namespace.to_owned(),
            ranks: vec![0; policies.len()],
            statuses: policies.iter().map(empty_status).collect(),
            ..Attachments::default()
        },
    };
    for (rank, index) in order(policies).into_iter().enumerate() {
        if let Some(slot) = resolver.attachments.ranks.get_mut(index) {
            *slot = rank;
        }
        resolver.attach(index);
    }
    resolver.finish()
}

fn empty_status(policy: &Policy) -> Status {
    Status {
        policy: policy.name.clone(),
        conditions: Vec::new(),
    }
}

/// Indices of the policies, the one that wins first.
fn order(policies: &[Policy]) -> Vec<usize> {
    sort::by_key(0..policies.len(), |index| {
        let policy = policies.get(*index);
        policy.map(|policy| (&policy.created, &policy.name))
    })
}

struct Resolver<'a> {
    policies: &'a [Policy],
    environment: &'a Environment,
    above: GatewayLevel,
    attachments: Attachments,
}

/// What became of one target.
enum Outcome {
    Taken,
    Conflict(usize),
    NotFound(String),
}

impl Resolver<'_> {
    fn attach(&mut self, index: usize) {
        let policies = self.policies;
        let Some(policy) = policies.get(index) else {
            return;
        };
        let namespace = &policy.name.namespace;
        let known = self.environment.namespaces.get(namespace);
        if known.is_some_and(|known| known.disabled) {
            let message = format!("namespace {namespace} is disabled by the administrator");
            self.add_condition(index, Reason::Disabled, message);
            return;
        }
        if policy.is_untargeted() {
            let outcome = claim(&mut self.above.untargeted, index);
            self.report(index, outcome, "everything");
        }
        for target in &policy.targets {
            let outcome = self.attach_target(index, target);
            self.report(index, outcome, &what_is(target.kind, &target.to_string()));
        }
        for selector in &policy.selectors {
            let what = format!("{} by label", selector.kind.as_str());
            let outcome = self.attach_selector(index, &policy.name.namespace, selector);
            self.report(index, outcome, &what_is(selector.kind, &what));
        }
    }

    fn attach_selector(&mut self, index: usize, home: &str, selector: &TargetSelector) -> Outcome {
        let namespaces = namespaces_of(&selector.namespaces, home, self.environment);
        let here = self.environment.gateway.as_ref();
        let set = here.and_then(|here| here.listener_set.as_ref());
        let (place, found) = match selector.kind {
            TargetKind::Gateway => (
                &mut self.above.gateway,
                here.map(|here| (&here.name, &here.labels)),
            ),
            TargetKind::ListenerSet => (
                &mut self.above.listener_set,
                set.map(|set| (&set.name, &set.labels)),
            ),
            kind => {
                self.attachments.selectors.push(RouteSelector {
                    policy: index,
                    kind,
                    labels: selector.labels.clone(),
                    namespaces,
                });
                return Outcome::Taken;
            }
        };
        let is_picked = found.is_some_and(|(name, labels)| {
            namespaces.is_none_or(|names| names.contains(&name.namespace))
                && selector
                    .labels
                    .matches(|key| labels.get(key).map(String::as_str))
        });
        match is_picked {
            true => claim(place, index),
            false => {
                let kind = selector.kind.as_str();
                Outcome::NotFound(format!("{kind} by label: not this {kind}"))
            }
        }
    }

    fn attach_target(&mut self, index: usize, target: &Target) -> Outcome {
        let kind = match target.kind {
            TargetKind::Gateway => return self.attach_gateway(index, target),
            TargetKind::Service => return self.attach_service(index, target),
            TargetKind::ListenerSet => return self.attach_listener_set(index, target),
            kind => kind,
        };
        let table = self.attachments.routes.entry(kind).or_default();
        let entry: &mut RouteEntry = table.entry(target.object.to_string()).or_default();
        match &target.section {
            None => claim(&mut entry.whole, index),
            Some(section) => {
                let mut place = entry.sections.get(section).copied();
                let outcome = claim(&mut place, index);
                entry
                    .sections
                    .insert(section.clone(), place.unwrap_or(index));
                outcome
            }
        }
    }

    fn attach_service(&mut self, index: usize, target: &Target) -> Outcome {
        let services = &mut self.attachments.services;
        let service = target.object.to_string();
        if let Some(known) = services.iter().find(|it| it.service == service) {
            return claim(&mut Some(known.policy), index);
        }
        services.push(GovernedService {
            service,
            policy: index,
        });
        Outcome::Taken
    }

    fn attach_gateway(&mut self, index: usize, target: &Target) -> Outcome {
        let here = self.environment.gateway.as_ref();
        if let Some(here) = here
            && here.name != target.object
        {
            return Outcome::NotFound(format!(
                "{target}: this instance serves Gateway {}",
                here.name
            ));
        }
        let Some(section) = &target.section else {
            return claim(&mut self.above.gateway, index);
        };
        // A listener of a set is a sibling of the Gateway's own listeners.
        match here.and_then(|here| here.listener_set.as_ref()) {
            Some(set) => Outcome::NotFound(format!(
                "{target}: this instance serves a listener of ListenerSet {}",
                set.name
            )),
            None => self.attach_listener(index, target, section),
        }
    }

    fn attach_listener_set(&mut self, index: usize, target: &Target) -> Outcome {
        let here = self.environment.gateway.as_ref();
        let Some(set) = here.and_then(|here| here.listener_set.as_ref()) else {
            return Outcome::NotFound(format!(
                "{target}: this instance serves no ListenerSet; if it does, set gateway.listenerSet"
            ));
        };
        if set.name != target.object {
            return Outcome::NotFound(format!(
                "{target}: this instance serves ListenerSet {}",
                set.name
            ));
        }
        match &target.section {
            None => claim(&mut self.above.listener_set, index),
            Some(section) => self.attach_listener(index, target, section),
        }
    }

    fn attach_listener(&mut self, index: usize, target: &Target, section: &str) -> Outcome {
        let here = self.environment.gateway.as_ref();
        match here.and_then(|here| here.listener.as_ref()) {
            Some(listener) if listener == section => claim(&mut self.above.listener, index),
            Some(listener) => Outcome::NotFound(format!(
                "{target}: this instance serves listener {listener}"
            )),
            None => Outcome::NotFound(format!(
                "{target}: the listener of this instance is unknown; set gateway.listener"
            )),
        }
    }

    fn report(&mut self, index: usize, outcome: Outcome, what: &str) {
        match outcome {
            Outcome::Taken => self.add_condition(index, Reason::Accepted, what),
            Outcome::NotFound(message) => {
                self.add_condition(index, Reason::TargetNotFound, message)
            }
            Outcome::Conflict(first) => {
                let message = format!("{what}: {} already targets it", self.name(first));
                self.add_condition(index, Reason::Conflicted, message);
            }
        }
    }

    fn finish(mut self) -> Attachments {
        let GatewayLevel {
            listener,
            listener_set,
            gateway,
            untargeted,
        } = self.above;
        let mut above: Vec<usize> = Vec::new();
        for policy in [listener, listener_set, gateway].into_iter().flatten() {
            if !above.contains(&policy) {
                above.push(policy);
            }
        }
        let fallback = above.first().copied().or(untargeted);
        for below in above.iter().copied().chain(untargeted) {
            if let Some(above) = fallback.filter(|above| *above != below) {
                let message = format!("everywhere by {}", self.name(above));
                self.add_condition(below, Reason::Overridden, message);
            }
        }
        if above.is_empty() {
            above.extend(untargeted);
        }
        self.attachments.above = above;
        self.attachments.untargeted = untargeted;
        self.relate_routes(fallback);
        self.attachments
    }

    /// Determines which policies merge, and which replace others.
    fn relate_routes(&mut self, parent: Option<usize>) {
        let policies = self.policies;
        let attached: Vec<bool> = self
            .attachments
            .statuses
            .iter()
            .map(Status::is_accepted)
            .collect();
        let mut merged = Vec::new();
        let mut overriding = Vec::new();
        for (index, policy) in policies.iter().enumerate() {
            let is_attached = attached.get(index).copied().unwrap_or(false);
            let targets = policy.targets.iter().map(|target| target.kind);
            let mut kinds = targets.chain(policy.selectors.iter().map(|it| it.kind));
            if !is_attached || Some(index) == parent || !kinds.any(TargetKind::is_http_route) {
                continue;
            }
            match (policy.merge, parent) {
                (Some(_), Some(parent)) => {
                    let message = format!("with {}", self.name(parent));
                    self.add_condition(index, Reason::Merged, message);
                    merged.push(policy.name.to_string());
                }
                (Some(_), None) => {
                    self.add_condition(index, Reason::Accepted, "with nothing to merge with");
                }
                (None, _) => overriding.push(policy.name.to_string()),
            }
        }
        if let Some(parent) = parent {
            if !merged.is_empty() {
                let message = format!("into {}", merged.join(", "));
                self.add_condition(parent, Reason::Merged, message);
            }
            if !overriding.is_empty() {
                let message = format!("on its routes by {}", overriding.join(", "));
                self.add_condition(parent, Reason::Overridden, message);
            }
        }
        self.relate_rules();
    }

    /// Determines which policies of whole routes are replaced by those of rules.
    fn relate_rules(&mut self) {
        let tables = self.attachments.routes.iter();
        let tables = tables.filter(|(kind, _)| kind.is_http_route());
        let mut found = Vec::new();
        for (route, entry) in tables.flat_map(|(_, table)| table) {
            for (section, index) in &entry.sections {
                if let Some(whole) = entry.whole.filter(|whole| whole != index) {
                    found.push((whole, format!("in {route} rule {section}"), *index));
                }
            }
        }
        for (whole, place, by) in found {
            let message = format!("{place} by {}", self.name(by));
            self.add_condition(whole, Reason::Overridden, message);
        }
    }

    fn add_condition(&mut self, index: usize, reason: Reason, message: impl Into<String>) {
        if let Some(status) = self.attachments.statuses.get_mut(index) {
            status.add_condition(reason, message);
        }
    }

    fn name(&self, index: usize) -> String {
        let policy = self.policies.get(index);
        policy
            .map(|policy| policy.name.to_string())
            .unwrap_or_default()
    }
}

fn claim(place: &mut Option<usize>, index: usize) -> Outcome {
    match *place {
        Some(first) if first != index => Outcome::Conflict(first),
        _ => {
            *place = Some(index);
            Outcome::Taken
        }
    }
}

/// A target as a status says it.
fn what_is(kind: TargetKind, target: &str) -> String {
    match kind.is_l4_route() {
        true => format!("{target} (not HTTP: not for the filter)"),
        false => target.to_owned(),
    }
}
