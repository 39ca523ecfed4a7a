//! Settings of an HTTP connection manager that policies rely on: an address that clients
//! cannot choose, paths in one spelling, an end to idle streams, and hosts that a redirect
//! may echo. Envoy enforces all of these, and all are off by default. Nothing fails without
//! them, so they are warnings.

mod labels;
mod modules;
mod places;
mod reads;
mod uses;

use std::collections::BTreeSet;

use btp_policy::Code;
use btp_policy::Policy;
use btp_policy::node::{Node, Value};
use btp_policy::problem::Problem;
use btp_policy::spec::Selector;

use super::attach::AttachedPolicies;
use super::effective::Effective;
use crate::envoy::address::Address;
use crate::envoy::files::{Config, problem_at};
use crate::envoy::model::{HttpConnectionManager, Model, RouteEntry};
use crate::envoy::plugin::{build_of, configuration_of};
use crate::envoy::route_metadata::Form;
use crate::envoy::tree::{field, items};
use crate::translate::global_rate_limit::Rule;
pub(crate) use labels::hints_of_labels;
pub(crate) use modules::hints_of_modules;
pub(crate) use places::hints_of_places;
use uses::{Use, uses};

/// What may be unwise about a connection manager, in the file with that index.
pub(crate) type Hint = (usize, Problem);

/// Policies that hold somewhere in one connection manager.
struct InForce<'a> {
    policy: &'a Policy,
    /// The routes that it governs.
    routes: Vec<&'a RouteEntry>,
    /// It governs what no route takes, too.
    governs_rest: bool,
}

/// What is unwise under these policies, which govern the connection managers
/// as `attached` says.
pub(crate) fn hints(
    config: &Config,
    model: &Model,
    policies: &[Policy],
    attached: &[AttachedPolicies],
) -> Vec<Hint> {
    hints_by(Hints::on, config, model, policies, attached)
}

/// What these policies will not see where `btp apply` puts the filter.
pub(crate) fn hints_of_usual_places(
    config: &Config,
    model: &Model,
    policies: &[Policy],
    attached: &[AttachedPolicies],
) -> Vec<Hint> {
    hints_by(Hints::on_place_of_faults, config, model, policies, attached)
}

/// Looks at each policy in each connection manager where it holds somewhere.
fn hints_by<'a>(
    look: impl Fn(&mut Hints<'a>, &HttpConnectionManager, &InForce<'_>),
    config: &'a Config,
    model: &Model,
    policies: &[Policy],
    attached: &[AttachedPolicies],
) -> Vec<Hint> {
    let mut hints = Hints::new(config);
    for (manager, attached) in model.managers.iter().zip(attached) {
        let routes = model.routes_of(manager);
        let fallback = attached.attachments.fallback();
        for (index, policy) in policies.iter().enumerate() {
            let own = |it: &Option<usize>| {
                it.is_some_and(|it| it == index || merges_with(policies, it, fallback, index))
            };
            let routes = routes.iter().zip(&attached.routes);
            let in_force = InForce {
                policy,
                routes: routes
                    .filter(|(_, it)| own(it))
                    .map(|(route, _)| route)
                    .collect(),
                governs_rest: fallback == Some(index),
            };
            if !in_force.routes.is_empty() || in_force.governs_rest {
                look(&mut hints, manager, &in_force);
            }
        }
    }
    hints.found
}

/// Warnings about the connection manager for policies that the configuration itself
/// contains, in instances of the filter.
pub(crate) fn hints_of_instances(config: &Config, model: &Model) -> Vec<Hint> {
    let mut hints = Hints::new(config);
    for manager in &model.managers {
        let Some(hcm) = config.at(&manager.address) else {
            continue;
        };
        for filter in items(hcm, "http_filters") {
            let (Some(plugin), Some(build)) = (configuration_of(filter), build_of(filter)) else {
                continue;
            };
            let form = Form::from(build);
            let fallback = plugin.attachments.fallback();
            for (index, policy) in plugin.policies.iter().enumerate() {
                let governs = |route: &&RouteEntry| {
                    let attachments = &plugin.attachments;
                    route.judged(form, |it| attachments.effective_policy_of(it)) == Some(index)
                };
                let in_force = InForce {
                    policy,
                    routes: model.routes_of(manager).iter().filter(governs).collect(),
                    governs_rest: fallback == Some(index),
                };
                hints.on(manager, &in_force);
            }
        }
    }
    hints.found
}

/// What is unwise under the rules that a rate limit service counts.
pub(crate) fn hints_of_global_limits(
    config: &Config,
    model: &Model,
    effective: &[Effective],
) -> Vec<Hint> {
    let mut hints = Hints::new(config);
    for it in effective {
        let managers: BTreeSet<usize> = it.routes.iter().map(|(manager, _)| *manager).collect();
        for manager in managers.into_iter().map(|it| &model.managers[it]) {
            let Some(hcm) = config.at(&manager.address) else {
                continue;
            };
            let first = |has: fn(&Selector) -> bool| {
                let mut rules = it.global_rules.iter();
                rules.find(|rule| has(rule.selector())).map(Rule::place)
            };
            if let Some(place) = first(|it| !it.sources.is_empty()) {
                hints.on_addresses(hcm, &manager.address, &place);
            }
            if let Some(place) = first(|it| !it.paths.is_empty()) {
                hints.on_paths(hcm, &manager.address, &place);
            }
        }
    }
    hints.found
}

/// Whether the policy `below` takes over what `above` says.
fn merges_with(policies: &[Policy], below: usize, parent: Option<usize>, above: usize) -> bool {
    parent == Some(above) && policies[below].merge.is_some()
}

struct Hints<'a> {
    config: &'a Config,
    found: Vec<Hint>,
    /// What has been said, and of what.
    said: BTreeSet<(Address, String)>,
}

impl<'a> Hints<'a> {
    fn new(config: &'a Config) -> Self {
        Self {
            config,
            found: Vec::new(),
            said: BTreeSet::new(),
        }
    }

    /// Looks at a connection manager under one policy.
    fn on(&mut self, manager: &HttpConnectionManager, in_force: &InForce<'_>) {
        if in_force.routes.is_empty() && !in_force.governs_rest {
            return;
        }
        let Some(hcm) = self.config.at(&manager.address) else {
            return;
        };
        let name = &in_force.policy.name;
        for (kind, path) in uses(&in_force.policy.spec) {
            match kind {
                Use::Address => {
                    self.on_addresses(hcm, &manager.address, &format!("{name} ({path})"))
                }
                Use::Path => self.on_paths(hcm, &manager.address, &format!("{name} ({path})")),
                Use::Places => self.on_idle_streams(hcm, manager, in_force, &path),
                Use::Echo => self.on_redirect(manager, in_force, &path),
            }
        }
    }

    fn on_addresses(&mut self, hcm: &Node, address: &Address, policy: &str) {
        let detects = !items(hcm, "original_ip_detection_extensions").is_empty();
        if !is_on(hcm, "use_remote_address") && !detects {
            let reason = format!(
                "trusts the X-Forwarded-For that clients send, so a client can choose the address \
                 that policy {policy} uses: set use_remote_address: true, with \
                 xff_num_trusted_hops behind proxies of your own, or \
                 original_ip_detection_extensions"
            );
            self.say(address, Code::SpoofedAddress, reason);
        }
    }

    fn on_paths(&mut self, hcm: &Node, address: &Address, policy: &str) {
        let mut missing = Vec::new();
        for name in ["normalize_path", "merge_slashes"] {
            if !is_on(hcm, name) {
                missing.push(format!("{name}: true"));
            }
        }
        if !acts_on_escaped_slashes(hcm) {
            missing.push("path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT".to_owned());
        }
        if !missing.is_empty() {
            let reason = format!(
                "does not normalize paths, so that other spellings of a path evade policy \
                 {policy}: set {}",
                missing.join(", ")
            );
            self.say(address, Code::PathSpelling, reason);
        }
    }

    fn on_idle_streams(
        &mut self,
        hcm: &Node,
        manager: &HttpConnectionManager,
        in_force: &InForce<'_>,
        path: &str,
    ) {
        let name = &in_force.policy.name;
        let reason = format!(
            "is 0s, so a client that reads nothing keeps its place in policy {name} ({path}) for \
             good: set a time, or leave it out for 5 minutes"
        );
        let mut has_default = in_force.governs_rest;
        for route in &in_force.routes {
            let address = route.address.key("route").key("idle_timeout");
            match self.config.at(&address).map(is_zero) {
                Some(true) => self.say(&address, Code::NoIdleTimeout, reason.clone()),
                Some(false) => {}
                None => has_default = true,
            }
        }
        if has_default && field(hcm, "stream_idle_timeout").is_some_and(is_zero) {
            self.say(
                &manager.address.key("stream_idle_timeout"),
                Code::NoIdleTimeout,
                reason,
            );
        }
    }

    fn on_redirect(&mut self, manager: &HttpConnectionManager, in_force: &InForce<'_>, path: &str) {
        let name = &in_force.policy.name;
        let cure = format!(
            "policy {name} ({path}) redirects clients to the host in their request: set hostname \
             or hosts there"
        );
        let mut takes_any = false;
        for route in in_force.routes.iter().filter(|route| route.takes_any_host) {
            takes_any = true;
            let reason = format!("matches any host, and {cure}, or list your domains here");
            self.say(&domains_of(route), Code::AnyHostRedirect, reason);
        }
        // That of the virtual host says it all.
        if in_force.governs_rest && !takes_any {
            let reason = format!("also answers for unknown hosts, and {cure}");
            self.say(&manager.address, Code::AnyHostRedirect, reason);
        }
    }

    fn say(&mut self, address: &Address, code: Code, reason: String) {
        if self.said.insert((address.clone(), reason.clone())) {
            let problem = problem_at(self.config, address, code, reason);
            self.found.push((address.file, problem));
        }
    }
}

/// `domains` of the virtual host that contains a route.
fn domains_of(route: &RouteEntry) -> Address {
    let mut host = route.address.clone();
    // The way to a route ends with `routes` and its index.
    host.path.truncate(host.path.len().saturating_sub(2));
    host.key("domains")
}

fn is_on(hcm: &Node, name: &str) -> bool {
    // A wrapped value is written as the value itself, or as an object.
    let value = field(hcm, name).map(|it| field(it, "value").unwrap_or(it));
    value.map(|it| &it.value) == Some(&Value::Bool(true))
}

fn acts_on_escaped_slashes(hcm: &Node) -> bool {
    match field(hcm, "path_with_escaped_slashes_action").map(|it| &it.value) {
        Some(Value::String(action)) => {
            action.starts_with("UNESCAPE_AND_") || action == "REJECT_REQUEST"
        }
        // As numbers: 2 to 4.
        Some(Value::Int(action)) => (2..=4).contains(action),
        _ => false,
    }
}

/// Whether a duration is zero, such as `0s` or `0.000s`.
fn is_zero(duration: &Node) -> bool {
    let number = duration.as_str().and_then(|text| text.strip_suffix('s'));
    number.is_some_and(|number| number.parse() == Ok(0.0))
}
