//! Up to which size of its body a request is retried: Envoy keeps a body to send it again,
//! and gives retries up where it is larger than what it may keep.

use btp_policy::node::{Node, Value};
use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::scalar::Quantity;
use btp_policy::spec::Retry;

use crate::apply::effective::Effective;
use crate::apply::placement::{Effect, Object, Placement, is_within};
use crate::apply::plan::Plan;
use crate::envoy::files::Config;
use crate::envoy::model::RouteId;
use crate::envoy::tree::field;

/// What a connection over HTTP/1 has where nothing says otherwise.
const USUAL: u64 = 1 << 20;

/// A line for each size, of the routes of a policy that retries.
pub(super) fn notes(plan: &Plan, config: &Config, it: &Effective) -> Vec<String> {
    let retry = field(&it.spec, "retry").and_then(|node| {
        let at = Cursor::root(node);
        Retry::read(at, &mut Problems::default())
    });
    if retry.is_none_or(|retry| retry.num_retries == 0) {
        return Vec::new();
    }
    let policy = &plan.policies[it.policy].name;
    let mut notes = Vec::new();
    for (manager, route) in it.routes.iter().filter(|(_, id)| is_retried(it, *id)) {
        let (bytes, whence) = most(plan, config, *manager, *route);
        let size = Quantity::new(bytes);
        let note = format!(
            "{policy}: a request is retried if its body has at most {size} ({whence}); Envoy \
             counts others as retry_or_shadow_abandoned"
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// Whether the policy's retries are in force on a route.
fn is_retried(it: &Effective, route: RouteId) -> bool {
    let is_in_force = |it: &Placement| matches!(it.effect, Effect::Part(_));
    let mut on_route = it
        .placements
        .iter()
        .filter(|it| it.object == Object::Route(route));
    on_route.any(|it| is_in_force(it) && it.fields.iter().any(|field| is_within(field, "retry")))
}

/// The most bytes, and what says so.
fn most(plan: &Plan, config: &Config, manager: usize, route: RouteId) -> (u64, &'static str) {
    const OF_ROUTE: &str = "request_body_buffer_limit";
    const OF_LISTENER: &str = "per_connection_buffer_limit_bytes";
    let number = |node: Option<&Node>, name| match field(node?, name)?.value {
        Value::Int(number) => u64::try_from(number).ok(),
        _ => None,
    };
    let of_route = config.at(&plan.model.route(route).address);
    if let Some(bytes) = number(of_route, OF_ROUTE) {
        return (bytes, OF_ROUTE);
    }
    let of_listener = config.at(&plan.model.managers[manager].listener);
    match number(of_listener, OF_LISTENER) {
        Some(bytes) => (bytes, "per_connection_buffer_limit_bytes, over HTTP/1"),
        None => (USUAL, "Envoy's default over HTTP/1"),
    }
}
