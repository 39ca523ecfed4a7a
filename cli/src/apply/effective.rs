//! What is in force: the spec of each governing policy, merged where it says
//! so, what it governs, and where each field of it went.

use btp_policy::Policy;
use btp_policy::merge;
use btp_policy::node::{Node, Value};
use btp_policy::spec::{Capability, Owner, owner_of};

use super::filter::Instance;
use super::govern::AttachedPolicies;
use super::needs::Needs;
use super::placement::{Destination, Placements};
use crate::envoy::model::{Model, RouteId};
use crate::envoy::tree::{EMPTY, unplaced};
use crate::translate::Replaced;

/// A spec that is in force somewhere.
#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) policy: usize,
    /// The policy it is merged with.
    pub(crate) parent: Option<usize>,
    pub(crate) spec: Node,
    /// The routes it governs, each with the connection manager it is reached
    /// through.
    pub(crate) routes: Vec<(usize, RouteId)>,
    /// The managers in which it governs what no route took.
    pub(crate) default_for: Vec<usize>,
    /// Where the fields went that Envoy itself enforces.
    pub(crate) native: Placements,
    /// Instances of the filter that enforce a part of it.
    pub(crate) filters: Vec<(Vec<Capability>, Destination)>,
    /// What stood in the configuration and gave way.
    pub(crate) replaced: Vec<String>,
    /// What stood in a route and did not.
    pub(crate) kept: Vec<Kept>,
    /// What else is worth a line.
    pub(crate) notes: Vec<String>,
}

/// A value of a route that a field of a policy yields to, for the policy does
/// not name the route. Prints as `route.timeout "0s"`.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    /// The route.
    pub(crate) route: RouteId,
    /// The field, below `spec`.
    pub(crate) field: String,
    /// Where the value stands in the route, and the value.
    pub(crate) value: Replaced,
}

/// A field in force, its value, and where it went.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) places: Vec<Destination>,
}

/// Everything that is in force.
pub(crate) fn all(
    policies: &[Policy],
    specs: &[Option<&Node>],
    model: &Model,
    attached: &[AttachedPolicies],
) -> Vec<Effective> {
    let mut found: Vec<Effective> = Vec::new();
    let index_of = |policy: usize, it: &AttachedPolicies, found: &mut Vec<Effective>| {
        let how = policies[policy].merge;
        let above = it.attachments.parent().filter(|above| *above != policy);
        let merge = how.and_then(|how| Some((above?, how)));
        let parent = merge.map(|(above, _)| above);
        let known = found
            .iter()
            .position(|it| it.policy == policy && it.parent == parent);
        known.unwrap_or_else(|| {
            let own = specs[policy].map_or(EMPTY, unplaced);
            let spec = match merge {
                Some((above, how)) => {
                    let above = specs[above].map_or(EMPTY, unplaced);
                    merge::merge(&above, &own, how)
                }
                None => own,
            };
            found.push(Effective {
                policy,
                parent,
                spec,
                routes: Vec::new(),
                default_for: Vec::new(),
                native: Placements::default(),
                filters: Vec::new(),
                replaced: Vec::new(),
                kept: Vec::new(),
                notes: Vec::new(),
            });
            found.len() - 1
        })
    };
    for (manager, it) in attached.iter().enumerate() {
        for (place, policy) in it.routes.iter().enumerate() {
            if let Some(policy) = policy {
                let index = index_of(*policy, it, &mut found);
                if let Some(config) = model.managers[manager].route_source.config() {
                    found[index]
                        .routes
                        .push((manager, RouteId { config, place }));
                }
            }
        }
        if let Some(policy) = it.attachments.fallback() {
            let index = index_of(policy, it, &mut found);
            found[index].default_for.push(manager);
        }
    }
    found.sort_by_key(|it| (it.policy, it.parent));
    found
}

impl Effective {
    /// Whether it is in force in this connection manager.
    pub(crate) fn is_in(&self, manager: usize) -> bool {
        self.default_for.contains(&manager) || self.routes.iter().any(|(it, _)| *it == manager)
    }

    /// Notes the instances that enforce it in a connection manager.
    pub(crate) fn enforced_by(&mut self, instances: &[Instance], listener: &str) {
        let needs = Needs::of(&self.spec);
        for instance in instances {
            let own = match instance.place {
                Some(_) => &needs.capabilities,
                None => &needs.behind,
            };
            let place = Destination::Filter {
                listener: listener.to_owned(),
                name: instance.name.clone(),
                place: instance.place,
            };
            let capabilities = instance.capabilities.iter().copied();
            let capabilities = capabilities.filter(|it| own.contains(it));
            self.filters.push((capabilities.collect(), place));
        }
    }

    /// What a route says itself in place of a field.
    pub(crate) fn kept_of(&self, route: RouteId, field: &str) -> Option<&Kept> {
        let is_below = |it: &Kept| {
            let rest = field.strip_prefix(it.field.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut kept = self.kept.iter();
        kept.find(|it| it.route == route && is_below(it))
    }

    /// Notes one more place of an instance behind the router.
    pub(crate) fn enforced_in(&mut self, instance: &Instance, place: &Destination) {
        let own = Needs::of(&self.spec).behind;
        let capabilities = instance.capabilities.iter().copied();
        let capabilities = capabilities.filter(|it| own.contains(it));
        self.filters.push((capabilities.collect(), place.clone()));
    }

    /// Every field and where it went.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        leaves(&self.spec, &mut Vec::new(), &mut |path, value| {
            let field = path.join(".");
            let places = self.places_of(path, &field);
            lines.push(Line {
                field,
                value: serde_json::to_string(value).unwrap_or_default(),
                places,
            });
        });
        lines
    }

    fn places_of(&self, path: &[&str], field: &str) -> Vec<Destination> {
        let below = |longer: &str, shorter: &str| {
            let rest = longer.strip_prefix(shorter);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let mut places = self.native.find(|it| below(it, field));
        if places.is_empty() {
            places = self.native.find(|it| below(field, it));
        }
        if places.is_empty() && path.len() > 1 {
            // A field that only shapes what is beside it.
            places = self.native.find(|it| below(it, path[0]));
        }
        if let Some(Owner::Filter(capability)) = path.first().and_then(|it| owner_of(it)) {
            let filters = self.filters.iter();
            let filters = filters.filter(|(capabilities, _)| capabilities.contains(&capability));
            if path[0] != "retry" || path.get(1) == Some(&"methods") {
                places.extend(filters.map(|(_, place)| place.clone()));
            }
        }
        if !places.iter().all(Destination::is_nothing) {
            places.retain(|place| !place.is_nothing());
        }
        let mut seen = Vec::new();
        places.retain(|place| {
            let is_new = !seen.contains(place);
            seen.push(place.clone());
            is_new
        });
        places
    }
}

/// The fields below `node`; a list is one.
fn leaves<'a>(node: &'a Node, path: &mut Vec<&'a str>, found: &mut impl FnMut(&[&str], &Node)) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for entry in entries {
                let is_target = path.is_empty() && owner_of(&entry.key) == Some(Owner::Attachment);
                if is_target || entry.node.value == Value::Null {
                    continue;
                }
                path.push(&entry.key);
                leaves(&entry.node, path, found);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => found(path, node),
    }
}
