//! The report for people: where each field of each policy is in force.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::apply::effective::{Effective, Line};
use crate::apply::placement::Scope;
use crate::apply::plan::Plan;
use crate::apply::status;

/// Names of routes that are shown of one policy.
const SHOWN: usize = 6;

/// What was done, as text.
pub(super) fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for it in &plan.effective {
        section(it, plan, &mut out);
    }
    for (index, status) in plan.statuses.iter().enumerate() {
        let mut effective = plan.effective.iter();
        if !effective.any(|it| it.policy == index || it.parents.contains(&index)) {
            let (name, why) = (
                &status.policy,
                status::why_nowhere(status, &plan.policies[index]),
            );
            let _ = writeln!(out, "{name}: not in force: {why}");
        }
    }
    for (name, by) in &plan.off {
        let _ = writeln!(out, "{name}: not in force: disabled by {by}");
    }
    for it in &plan.standing {
        let _ = writeln!(out, "{}", it.line());
    }
    for note in &plan.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn section(it: &Effective, plan: &Plan, out: &mut String) {
    let name = &plan.policies[it.policy].name;
    let _ = write!(out, "{name}");
    if !it.parents.is_empty() {
        let parents = it.parents_in_words(&plan.policies);
        let _ = write!(out, ", merged with {parents}");
    }
    let _ = writeln!(out, ": {}", governs(it, plan));
    let lines = it.lines(Scope::Everywhere);
    let width = |text: &dyn Fn(&Line) -> usize| lines.iter().map(text).max().unwrap_or(0);
    let fields = width(&|line| line.field.chars().count());
    let values = width(&|line| line.value.chars().count().min(40));
    for line in &lines {
        let value = shorten(&line.value);
        let mut places = line.destinations.iter();
        let first = places
            .next()
            .map_or_else(|| "nothing to do".to_owned(), ToString::to_string);
        let _ = writeln!(out, "  {:fields$}  {value:values$}  {first}", line.field);
        for place in places {
            let _ = writeln!(out, "  {:fields$}  {:values$}  {place}", "", "");
        }
    }
    for replaced in &it.replaced {
        let _ = writeln!(out, "  replaced: {replaced}");
    }
    for kept in &it.kept {
        let title = plan.model.route(kept.route).title();
        let _ = writeln!(
            out,
            "kept: route {title}: {} is {}; it takes precedence over {} of a policy that does not \
             target the route by name",
            kept.value.path,
            kept.value.excerpt(),
            kept.field
        );
    }
    for note in &it.notes {
        let _ = writeln!(out, "  note: {note}");
    }
}

/// What a policy governs.
fn governs(it: &Effective, plan: &Plan) -> String {
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    for (_, route) in &it.routes {
        let title = plan.model.route(*route).title();
        if seen.insert(title.clone()) {
            names.push(title);
        }
    }
    let mut parts = Vec::new();
    match names.len() {
        0 => {}
        1 => parts.push(format!("route {}", names[0])),
        2..=SHOWN => parts.push(format!("routes {}", names.join(", "))),
        count => {
            let shown = names[..SHOWN].join(", ");
            parts.push(format!("routes {shown} and {} more", count - SHOWN));
        }
    }
    for manager in &it.default_for {
        let listener = &plan.model.managers[*manager].listener_name;
        parts.push(format!(
            "requests of listener {listener} that match no route"
        ));
    }
    if !it.sends.is_empty() {
        let targets = plan.policies[it.policy].targets.iter();
        let services: Vec<String> = targets.map(ToString::to_string).collect();
        let clusters: Vec<&str> = it.clusters.keys().map(String::as_str).collect();
        let clusters = match clusters.is_empty() {
            true => "clusters that requests name".to_owned(),
            false => format!("cluster {}", clusters.join(", ")),
        };
        parts.push(format!("{}, {clusters}", services.join(", ")));
    }
    let proxies = it.l4_proxies.iter();
    parts.extend(proxies.map(|it| plan.model.l4_proxies[*it].title()));
    parts.join("; ")
}

fn shorten(value: &str) -> String {
    if value.chars().count() <= 40 {
        return value.to_owned();
    }
    value.chars().take(39).chain(['…']).collect()
}
