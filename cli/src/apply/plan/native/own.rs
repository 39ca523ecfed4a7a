//! Timeouts and retries that a route sets itself. They win over policies of its Gateway, of
//! a listener, or without targets, as in Envoy Gateway: `timeout: 0s` at one route is
//! deliberate, 15s for all routes is a default. A policy that names the route wins over
//! both.

use btp_policy::Policy;
use btp_policy::attach::{Attachments, Environment};
use btp_policy::node::Node;

use super::Native;
use crate::apply::effective::Kept;
use crate::apply::journal::below_spec;
use crate::envoy::model::{RouteEntry, RouteId};
use crate::envoy::tree::find;
use crate::translate::{Change, Operation, Replaced};

impl Native<'_, '_, '_> {
    /// Whether a change of a route yields to what the route says itself; that is
    /// noted.
    pub(super) fn yields(&mut self, index: usize, id: RouteId, change: &Change) -> bool {
        let entry = self.scene.model.route(id);
        let route = self.draft.before(&entry.address);
        let Some(value) = route.and_then(|route| own(route, change)) else {
            return false;
        };
        let field = below_spec(&change.field);
        if self.says_of(index, change, entry) {
            return false;
        }
        let it = &mut self.effective[index];
        it.journal.yield_to(id, field);
        let kept = Kept {
            route: id,
            field: field.to_owned(),
            value,
        };
        if !it.kept.contains(&kept) {
            it.kept.push(kept);
        }
        true
    }

    /// Whether the field of a change is in a policy that names the route.
    pub(super) fn says_of(&self, index: usize, change: &Change, entry: &RouteEntry) -> bool {
        self.says_itself(index, below_spec(&change.field)) && self.names(index, entry)
    }

    /// Whether the field is in the policy itself, and not in the one that it merges with.
    fn says_itself(&self, index: usize, field: &str) -> bool {
        let it = &self.effective[index];
        let steps: Vec<&str> = field.split('.').collect();
        let spec = self.scene.input.policies[it.policy].node.field("spec");
        it.parents.is_empty() || spec.is_some_and(|spec| find(spec, &steps).is_some())
    }

    /// Whether the policy has the route itself for a target.
    fn names(&self, index: usize, entry: &RouteEntry) -> bool {
        let policy = &self.scene.policies[self.effective[index].policy];
        let targets = policy.targets.iter().filter(|it| it.kind.is_http_route());
        let selectors = policy.selectors.iter();
        let selectors = selectors.filter(|it| it.kind.is_http_route());
        let alone = Policy {
            targets: targets.cloned().collect(),
            selectors: selectors.cloned().collect(),
            ..policy.clone()
        };
        if alone.is_untargeted() {
            return false;
        }
        let attachments = Attachments::resolve(&[alone], &Environment::default());
        let form = self.scene.options.filter.form();
        entry.judged(form, |it| attachments.effective_policy_of(it).is_some())
    }
}

/// What a route says where a change would go, or in its place.
fn own(route: &Node, change: &Change) -> Option<Replaced> {
    const TIMEOUT: &[&str] = &["timeout", "max_stream_duration"];
    let of_request = change.field.ends_with(".requestTimeout");
    let names: &[&str] = match change.path.to_string().as_str() {
        "route.timeout" => TIMEOUT,
        "route.max_stream_duration" | "route.idle_timeout" if of_request => TIMEOUT,
        "route.max_stream_duration" => &["max_stream_duration"],
        "route.idle_timeout" if matches!(change.operation, Operation::Set(_)) => &["idle_timeout"],
        "route.retry_policy" | "route.retry_policy_typed_config" => {
            &["retry_policy", "retry_policy_typed_config"]
        }
        _ => return None,
    };
    names.iter().find_map(|name| {
        let value = find(route, &["route", name])?;
        Some(Replaced::new(format!("route.{name}"), value))
    })
}
