//! The report for programs: the same facts as the one for people.

use serde_json::{Value, json};

use crate::apply::effective::{Effective, Line};
use crate::apply::placement::Scope;
use crate::apply::plan::Plan;
use crate::apply::standing::Standing;
use crate::commands::json;

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Written,
    DryRun,
    Refused,
    Unfinished,
}

/// What was done, without what was found and written.
pub(super) fn report(plan: &Plan, end: End) -> Value {
    let statuses = plan.statuses.iter().map(json::status);
    let off = plan.off.iter();
    let off = off.map(|(name, by)| json::switched_off(name, by));
    let in_force = plan.effective.iter().map(|it| section(it, plan));
    json!({
        "outcome": outcome(end),
        "policies": statuses.chain(off).collect::<Vec<Value>>(),
        "inForce": in_force.collect::<Vec<Value>>(),
        "filters": plan.standing.iter().map(filter).collect::<Vec<Value>>(),
        "notes": plan.notes,
        "phases": [],
    })
}

/// The same where nothing was done.
pub(super) fn refused() -> Value {
    json!({
        "outcome": outcome(End::Refused),
        "policies": [],
        "inForce": [],
        "filters": [],
        "notes": [],
        "phases": [],
    })
}

fn outcome(end: End) -> &'static str {
    match end {
        End::Written => "Written",
        End::DryRun => "DryRun",
        End::Refused => "Refused",
        End::Unfinished => "Unfinished",
    }
}

fn section(it: &Effective, plan: &Plan) -> Value {
    let name = |policy: usize| plan.policies[policy].name.to_string();
    let mut routes: Vec<String> = Vec::new();
    for (_, route) in &it.routes {
        let title = plan.model.route(*route).title();
        if !routes.contains(&title) {
            routes.push(title);
        }
    }
    let listeners = it.default_for.iter();
    let listeners = listeners.map(|it| plan.model.managers[*it].listener_name.clone());
    let proxies = it.l4_proxies.iter();
    let proxies = proxies.map(|it| plan.model.l4_proxies[*it].title());
    let kept = it.kept.iter().map(|it| {
        json!({
            "route": plan.model.route(it.route).title(),
            "field": it.field,
            "path": it.value.path,
            "value": json::value(&serde_json::to_string(&it.value.was).unwrap_or_default()),
        })
    });
    json!({
        "policy": name(it.policy),
        "mergedWith": (!it.parents.is_empty()).then(|| it.parents_in_words(&plan.policies)),
        "routes": routes,
        "restOfListeners": listeners.collect::<Vec<String>>(),
        "proxies": proxies.collect::<Vec<String>>(),
        "fields": it.lines(Scope::Everywhere).iter().map(field).collect::<Vec<Value>>(),
        "replaced": it.replaced,
        "kept": kept.collect::<Vec<Value>>(),
        "notes": it.notes,
    })
}

fn field(line: &Line) -> Value {
    let destinations = line.destinations.iter().map(json::destination);
    json!({
        "field": line.field,
        "value": json::value(&line.value),
        "destinations": destinations.collect::<Vec<Value>>(),
    })
}

fn filter(it: &Standing) -> Value {
    json!({
        "object": it.owner,
        "list": it.list,
        "place": it.place,
        "name": it.name,
        "behind": it.behind,
        "inFrontOf": it.in_front_of,
        "why": it.why,
    })
}
