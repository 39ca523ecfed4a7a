//! The spec of each effective policy, merged where a policy sets `mergeType`, with its
//! routes and the place where each field is in force.

use std::collections::{BTreeMap, BTreeSet};

use btp_policy::Policy;
use btp_policy::attach::Levels;
use btp_policy::merge;
use btp_policy::node::{Node, Value};
use btp_policy::policy::MergeType;
use btp_policy::scalar::ObjectName;
use btp_policy::spec::Capability;

use super::attach::{Attached, AttachedPolicies};
use super::filter::Instance;
use super::journal::Journal;
use super::needs::Needs;
use super::placement::{Destination, Placement, Scope, destinations, is_within};
use crate::envoy::l4::L4;
use crate::envoy::model::RouteId;
use crate::envoy::tree::{EMPTY, field, same, set, unplaced};
use crate::spec_fields::spec_fields;
use crate::translate::global_rate_limit::{Rule, Source, rules};
use crate::translate::{Replaced, Unmet, holds_for, unmet};

/// The lists of rules that a strategic merge unites, below `rateLimit`.
const UNITED: [&str; 2] = ["local", "global"];

/// A spec that is in force somewhere.
#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) policy: usize,
    /// The policies it is merged with, or completed by, the closest first: for HTTP at
    /// most one.
    pub(crate) parents: Vec<usize>,
    pub(crate) spec: Node,
    /// The rate limit rules of each kind that it has from the parent beside its
    /// own.
    added_rules: Vec<(&'static str, Vec<Node>)>,
    /// The rules that a rate limit service counts, the parent's among them.
    pub(crate) global_rules: Vec<Rule>,
    /// The routes it governs, each with the connection manager it is reached
    /// through.
    pub(crate) routes: Vec<(usize, RouteId)>,
    /// The managers in which it governs what no route took.
    pub(crate) default_for: Vec<usize>,
    /// The routes that send to its Services, each with the connection manager it is
    /// reached through.
    pub(crate) sends: Vec<(usize, RouteId)>,
    /// The clusters that are its Services, each with the routes that send there.
    pub(crate) clusters: BTreeMap<String, BTreeSet<RouteId>>,
    /// The proxies of connections and datagrams that it governs.
    pub(crate) l4_proxies: Vec<usize>,
    /// Its fields that do not hold for one of these.
    pub(crate) unmet: Vec<(usize, Unmet)>,
    /// What was done for it.
    pub(crate) journal: Journal,
    /// What of that holds in the end.
    pub(crate) placements: Vec<Placement>,
    /// What was in the configuration and was replaced.
    pub(crate) replaced: Vec<String>,
    /// What a route had and no longer has.
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
    /// The path of the value in the route, and the value.
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
    attached: Attached<'_>,
) -> Vec<Effective> {
    let Attached {
        model, http, l4, ..
    } = attached;
    let mut found: Vec<Effective> = Vec::new();
    let spec_of = |policy: usize| specs[policy].map_or(EMPTY, unplaced);
    let index_of = |policy: usize, it: &AttachedPolicies, found: &mut Vec<Effective>| {
        let how = policies[policy].merge;
        let above = it.attachments.parent().filter(|above| *above != policy);
        let merge = how.and_then(|how| Some((above?, how)));
        let parents: Vec<usize> = merge.iter().map(|(above, _)| *above).collect();
        index(found, policy, &parents, None, || {
            let own = spec_of(policy);
            let source = |policy: usize, spec| Source {
                policy: &policies[policy].name,
                spec,
            };
            let Some((above, how)) = merge else {
                let global_rules = rules(source(policy, &own), None);
                return Whole {
                    global_rules,
                    ..Whole::of(own)
                };
            };
            let parent = spec_of(above);
            let mut added_rules = Vec::new();
            if how == MergeType::Strategic {
                for kind in UNITED {
                    let rules = merge::added_rules(&parent, &own, kind).into_iter();
                    added_rules.push((kind, rules.cloned().collect()));
                }
            }
            Whole {
                global_rules: rules(source(policy, &own), Some((source(above, &parent), how))),
                added_rules,
                ..Whole::of(merge::merge(&parent, &own, how))
            }
        })
    };
    for (manager, it) in http.iter().enumerate() {
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
    for (proxy, it) in l4.iter().enumerate() {
        let Some(policy) = it.levels.first() else {
            continue;
        };
        let kind = model.l4_proxies[proxy].l4;
        let (spec, parents) = completed(&it.levels, policies, spec_of, kind);
        let index = index(&mut found, policy, &parents, Some(&spec), || {
            Whole::of(spec.clone())
        });
        let it = &mut found[index];
        it.l4_proxies.push(proxy);
        let unmet = unmet(&it.spec, kind).into_iter();
        it.unmet.extend(unmet.map(|unmet| (proxy, unmet)));
    }
    found.sort_by(|one, other| (one.policy, &one.parents).cmp(&(other.policy, &other.parents)));
    found
}

/// A spec, and the rules beside its own fields.
struct Whole {
    spec: Node,
    added_rules: Vec<(&'static str, Vec<Node>)>,
    global_rules: Vec<Rule>,
}

impl Whole {
    fn of(spec: Node) -> Self {
        Self {
            spec,
            added_rules: Vec::new(),
            global_rules: Vec::new(),
        }
    }
}

/// The index of the spec of a policy and those it is merged with; `make` gives it if it is
/// not there. What connections come to may differ by their kind: then `spec` is it.
fn index(
    found: &mut Vec<Effective>,
    policy: usize,
    parents: &[usize],
    spec: Option<&Node>,
    make: impl FnOnce() -> Whole,
) -> usize {
    let mut known = found.iter();
    let known = known.position(|it| {
        it.policy == policy && it.parents == parents && spec.is_none_or(|spec| same(&it.spec, spec))
    });
    known.unwrap_or_else(|| {
        let Whole {
            spec,
            added_rules,
            global_rules,
        } = make();
        found.push(Effective {
            parents: parents.to_vec(),
            added_rules,
            global_rules,
            ..Effective::of(policy, spec)
        });
        found.len() - 1
    })
}

/// The spec of what is handed on as it is, and the policies beside the first that it has
/// fields of. A route's policy is merged with the closest one above routes, if it says so;
/// then each field that is left out is that of the next policy.
fn completed(
    levels: &Levels,
    policies: &[Policy],
    spec_of: impl Fn(usize) -> Node,
    l4: Option<L4>,
) -> (Node, Vec<usize>) {
    let mut parents = Vec::new();
    let mut whole: Option<Node> = None;
    for policy in levels.of_route.iter().chain(&levels.above) {
        let mut spec = spec_of(*policy);
        let of_route = levels.of_route.contains(policy);
        let how = policies[*policy].merge.filter(|_| of_route);
        let merged = l4.zip(how).zip(levels.above.first());
        let mut merged_with = None;
        if let Some(((l4, how), above)) = merged {
            let parent = held(&spec_of(*above), l4);
            let merged = merge::merge(&parent, &spec, how);
            merged_with = (!same(&merged, &spec)).then_some(*above);
            spec = merged;
        }
        let Some(whole) = &mut whole else {
            parents.extend(merged_with);
            whole = Some(spec);
            continue;
        };
        let Some(l4) = l4 else { continue };
        if add_missing(whole, &held(&spec, l4)) {
            parents.extend([Some(*policy), merged_with].into_iter().flatten());
        }
    }
    let mut known = BTreeSet::new();
    parents.retain(|it| known.insert(*it));
    (whole.unwrap_or(EMPTY), parents)
}

/// The fields of a spec that hold for such traffic.
fn held(spec: &Node, l4: L4) -> Node {
    let mut held = spec.clone();
    if let Value::Map(fields) = &mut held.value {
        fields.retain(|it| holds_for(l4, &it.key));
    }
    held
}

/// Adds the fields of another spec that this one leaves out; false if there are none.
fn add_missing(spec: &mut Node, other: &Node) -> bool {
    let Value::Map(fields) = &other.value else {
        return false;
    };
    let mut has_added = false;
    for it in fields {
        if field(spec, &it.key).is_none() {
            set(spec, &it.key, it.node.clone());
            has_added = true;
        }
    }
    has_added
}

impl Effective {
    /// The spec of a policy, which nothing is merged with and which is in force nowhere yet.
    pub(crate) fn alone(policy: usize, spec: Option<&Node>) -> Self {
        Self::of(policy, spec.map_or(EMPTY, unplaced))
    }

    fn of(policy: usize, spec: Node) -> Self {
        Self {
            policy,
            parents: Vec::new(),
            spec,
            added_rules: Vec::new(),
            global_rules: Vec::new(),
            routes: Vec::new(),
            default_for: Vec::new(),
            sends: Vec::new(),
            clusters: BTreeMap::new(),
            l4_proxies: Vec::new(),
            unmet: Vec::new(),
            journal: Journal::default(),
            placements: Vec::new(),
            replaced: Vec::new(),
            kept: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The routes that it governs, or whose Services it does.
    pub(crate) fn all_routes(&self) -> impl Iterator<Item = (usize, RouteId)> {
        self.routes.iter().chain(&self.sends).copied()
    }

    /// The names of the policies it is merged with, for people; empty if there is none.
    pub(crate) fn parents_in_words(&self, policies: &[Policy]) -> String {
        let names = self.parents.iter().map(|it| policies[*it].name.to_string());
        names.collect::<Vec<String>>().join(", ")
    }

    /// Whether it is in force in this connection manager.
    pub(crate) fn is_in(&self, manager: usize) -> bool {
        self.default_for.contains(&manager) || self.all_routes().any(|(it, _)| it == manager)
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
            .chain(self.parents.iter().copied())
            .map(|policy| &policies[policy].name)
            .collect();
        let enforces = |it: Capability| instance.capabilities.contains(&it) && own.contains(&it);
        let fields = spec_fields(&self.spec).into_iter();
        let fields = fields.filter(|it| {
            it.capability().is_some_and(enforces) && instance.is_given(&names, &it.path)
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
            let mut destinations = destinations(&self.placements, &name, scope);
            if destinations.is_empty() {
                destinations.extend(self.why_not(&name, scope).map(Destination::Nothing));
            }
            lines.push(Line {
                field: name.clone(),
                value: serde_json::to_string(it.value).unwrap_or_default(),
                destinations: destinations.clone(),
            });
            if let Some(rules) = self.added_to(&it.path) {
                lines.push(Line {
                    field: format!("{name} (added)"),
                    value: serde_json::to_string(rules).unwrap_or_default(),
                    destinations,
                });
            }
        }
        self.add_beside(scope, &mut lines);
        lines
    }

    /// Adds the values that no field sets but some fields need: a line for each value.
    fn add_beside(&self, scope: Scope, lines: &mut Vec<Line>) {
        let fields = lines.len();
        for it in self.placements.iter().filter(|it| it.concerns(scope)) {
            let Some((field, value)) = it.beside() else {
                continue;
            };
            let mut known = lines.iter_mut().skip(fields);
            let destination = it.destination();
            match known.find(|line| line.field == field && line.value == value) {
                Some(line) if line.destinations.contains(&destination) => {}
                Some(line) => line.destinations.push(destination),
                None => lines.push(Line {
                    field,
                    value: value.to_owned(),
                    destinations: vec![destination],
                }),
            }
        }
    }

    /// The parent's rules that belong to the list at `path`, if there are any.
    fn added_to(&self, path: &[&str]) -> Option<&[Node]> {
        let ["rateLimit", kind, "rules"] = path else {
            return None;
        };
        let mut added = self.added_rules.iter();
        let (_, rules) = added.find(|(it, _)| it == kind)?;
        (!rules.is_empty()).then_some(rules)
    }

    /// Why a field that is in force nowhere does not hold for connections and
    /// datagrams.
    fn why_not(&self, field: &str, scope: Scope) -> Option<&'static str> {
        let mut unmet = self.unmet.iter().filter(|(proxy, _)| match scope {
            Scope::Everywhere => true,
            Scope::L4Proxy(wanted) => *proxy == wanted,
            Scope::Route { .. } | Scope::NoRoute { .. } => false,
        });
        let found = unmet.find(|(_, it)| is_within(field, &it.field));
        found.map(|(_, it)| it.reason)
    }
}
