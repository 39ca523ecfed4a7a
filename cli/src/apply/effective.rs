//! The spec of each governing policy, merged where it says so, what it governs,
//! and where each field of it is in force.

use btp_policy::Policy;
use btp_policy::merge;
use btp_policy::node::Node;
use btp_policy::policy::MergeType;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::Capability;

use super::attach::AttachedPolicies;
use super::filter::Instance;
use super::journal::Journal;
use super::needs::Needs;
use super::placement::{Destination, Placement, Scope, destinations, is_within};
use crate::envoy::model::{Model, RouteId};
use crate::envoy::tree::{EMPTY, unplaced};
use crate::spec_fields::{capability_of, spec_fields};
use crate::translate::Replaced;

/// The list that a strategic merge unites.
const LOCAL_RULES: [&str; 3] = ["rateLimit", "local", "rules"];

/// A spec that is in force somewhere.
#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) policy: usize,
    /// The policy it is merged with.
    pub(crate) parent: Option<usize>,
    pub(crate) spec: Node,
    /// The local rate limit rules that it has from the parent beside its own.
    added_rules: Vec<Node>,
    /// The routes it governs, each with the connection manager it is reached
    /// through.
    pub(crate) routes: Vec<(usize, RouteId)>,
    /// The managers in which it governs what no route took.
    pub(crate) default_for: Vec<usize>,
    /// What was done for it.
    pub(crate) journal: Journal,
    /// What of that holds in the end.
    pub(crate) placements: Vec<Placement>,
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

/// A field, its value, and where it is in force.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) destinations: Vec<Destination>,
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
            let mut added_rules = Vec::new();
            let spec = match merge {
                Some((above, how)) => {
                    let above = specs[above].map_or(EMPTY, unplaced);
                    if how == MergeType::Strategic {
                        let rules = merge::added_rules(&above, &own, "local");
                        added_rules.extend(rules.into_iter().cloned());
                    }
                    merge::merge(&above, &own, how)
                }
                None => own,
            };
            found.push(Effective {
                policy,
                parent,
                spec,
                added_rules,
                routes: Vec::new(),
                default_for: Vec::new(),
                journal: Journal::default(),
                placements: Vec::new(),
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

    /// The fields, below `spec`, that an instance of the filter enforces: those
    /// of its capabilities that it has been given.
    pub(crate) fn enforced_by(&self, instance: &Instance, policies: &[Policy]) -> Vec<String> {
        let needs = Needs::of(&self.spec);
        let own = match instance.place {
            Some(_) => &needs.capabilities,
            None => &needs.behind,
        };
        let names: Vec<&ObjectName> = std::iter::once(self.policy)
            .chain(self.parent)
            .map(|policy| &policies[policy].name)
            .collect();
        let enforces = |it: Capability| instance.capabilities.contains(&it) && own.contains(&it);
        let fields = spec_fields(&self.spec).into_iter();
        let fields = fields.filter(|it| {
            capability_of(&it.path).is_some_and(enforces) && instance.is_given(&names, &it.path)
        });
        fields.map(|it| it.name()).collect()
    }

    /// What a route says itself in place of a field.
    pub(crate) fn kept_of(&self, route: RouteId, field: &str) -> Option<&Kept> {
        let mut kept = self.kept.iter();
        kept.find(|it| it.route == route && is_within(field, &it.field))
    }

    /// Every field and where it is in force in this scope.
    pub(crate) fn lines(&self, scope: Scope) -> Vec<Line> {
        let mut lines = Vec::new();
        for it in spec_fields(&self.spec) {
            let name = it.name();
            let destinations = destinations(&self.placements, &name, scope);
            lines.push(Line {
                field: name.clone(),
                value: serde_json::to_string(it.value).unwrap_or_default(),
                destinations: destinations.clone(),
            });
            if it.path == LOCAL_RULES && !self.added_rules.is_empty() {
                lines.push(Line {
                    field: format!("{name} (added)"),
                    value: serde_json::to_string(&self.added_rules).unwrap_or_default(),
                    destinations,
                });
            }
        }
        lines
    }
}
