//! What the filter needs of routes: names, and room for bodies that are buffered or sent
//! again.

use std::collections::BTreeSet;

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use super::perform::{Changed, perform};
use crate::apply::buffers::{LIMIT, held};
use crate::apply::effective::Effective;
use crate::apply::needs::Needs;
use crate::envoy::json::node;
use crate::envoy::model::RouteId;
use crate::envoy::tree::set;
use crate::translate::{Change, Operation, Target};

/// Lets a route hold bodies as large as its policy buffers, or as its policy lets pass
/// where they may have to be sent again: Envoy retries no request whose body it does not
/// hold.
pub(super) fn widen_buffers(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    effective: &mut [Effective],
    errors: &mut Errors<'_>,
) {
    for it in effective {
        let needs = Needs::of(&it.spec);
        let Some(gathered) = needs.gathers.or(needs.resends) else {
            continue;
        };
        let limit = i64::try_from(gathered.bytes).unwrap_or(i64::MAX);
        let change = Change {
            field: format!("spec.{}", gathered.field),
            also: Vec::new(),
            target: Target::Route,
            path: LIMIT.into(),
            operation: Operation::Set(node!(limit)),
        };
        for (manager, id) in it.routes.clone() {
            let listener = draft.at(&scene.model.managers[manager].listener);
            let entry = scene.model.route(id);
            if gathered.bytes > held(draft.at(&entry.address), listener).0 {
                let route = Changed::route(scene, id);
                perform(scene, draft, it, &change, &route, errors);
            }
        }
    }
}

/// The filter remembers routes by their names.
pub(super) fn give_names(scene: Scene<'_>, draft: &mut Draft<'_>) {
    let mut named = BTreeSet::new();
    for (index, manager) in scene.model.managers.iter().enumerate() {
        let Some(config) = manager.route_source.config() else {
            continue;
        };
        for (place, entry) in scene.model.routes_of(manager).iter().enumerate() {
            let is_governed = scene.attached[index].routes[place].is_some();
            if !is_governed || !entry.name.is_empty() || !named.insert(RouteId { config, place }) {
                continue;
            }
            if let Some(route) = draft.change(&entry.address) {
                set(route, "name", node!(&entry.given));
            }
        }
    }
}
