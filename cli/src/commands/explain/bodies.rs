//! The largest body with which a request is retried: Envoy keeps a body to send it again,
//! and does not retry requests whose body is larger than its limit.

use btp_policy::problem::Problems;
use btp_policy::read::Cursor;
use btp_policy::scalar::Quantity;
use btp_policy::spec::Retry;

use crate::apply::buffers::held;
use crate::apply::effective::Effective;
use crate::apply::placement::{Effect, Object, Placement, is_within};
use crate::apply::plan::Plan;
use crate::envoy::files::Config;
use crate::envoy::model::RouteId;
use crate::envoy::tree::field;

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
        let route = config.at(&plan.model.route(*route).address);
        let (bytes, whence) = held(route, config.at(&plan.model.managers[*manager].listener));
        let size = Quantity::new(bytes);
        let note = format!(
            "{policy}: a request is retried only if its body has at most {size} ({whence}); Envoy \
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
