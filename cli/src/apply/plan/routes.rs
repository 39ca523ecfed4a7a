//! What the filter needs of routes: names, and room for the bodies that are
//! gathered.

use std::collections::BTreeSet;

use btp_policy::node::{Node, Value};

use super::Scene;
use super::draft::Draft;
use crate::apply::effective::Effective;
use crate::apply::govern::sites_of;
use crate::apply::needs::Needs;
use crate::apply::placement::Destination;
use crate::envoy::json::node;
use crate::envoy::tree::{field, set};

/// Lets a route hold bodies as large as its policy gathers.
pub(super) fn widen_buffers(scene: Scene<'_>, draft: &mut Draft<'_>, effective: &mut [Effective]) {
    /// Envoy's `per_connection_buffer_limit_bytes`.
    const USUAL: i64 = 1 << 20;
    let number = |node: Option<&Node>| match node.map(|node| &node.value) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    for it in effective {
        let Some(limit) = Needs::of(&it.spec).gathers else {
            continue;
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        for site in &it.sites {
            let listener = draft.at(&scene.model.managers[site.0].listener);
            let own = listener.and_then(|it| field(it, "per_connection_buffer_limit_bytes"));
            let site = scene.site(*site);
            let route = draft.at(&site.address);
            let there = route.and_then(|it| field(it, "request_body_buffer_limit"));
            let enough = number(there).unwrap_or(0).max(number(own).unwrap_or(USUAL));
            if limit > enough
                && let Some(route) = draft.change(&site.address)
            {
                set(route, "request_body_buffer_limit", node!(limit));
                let part = "request_body_buffer_limit".to_owned();
                it.native
                    .add("requestBuffer.limit", Destination::Routes(part));
            }
        }
    }
}

/// The filter remembers routes by their names.
pub(super) fn give_names(scene: Scene<'_>, draft: &mut Draft<'_>) {
    let mut named = BTreeSet::new();
    for (index, manager) in scene.model.managers.iter().enumerate() {
        let Some(table) = manager.routes.table() else {
            continue;
        };
        for (place, site) in sites_of(scene.model, manager).iter().enumerate() {
            let is_governed = scene.governed[index].routes[place].is_some();
            if !is_governed || !site.name.is_empty() || !named.insert((table, place)) {
                continue;
            }
            if let Some(route) = draft.change(&site.address) {
                set(route, "name", node!(&site.given));
            }
        }
    }
}
