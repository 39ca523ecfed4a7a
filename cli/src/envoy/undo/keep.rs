//! The original texts of changed values, recorded beside the steps that restore them: a
//! value alone does not have its quotes, comments or aliases.

use std::collections::BTreeMap;

use btp_policy::node::{Node, Value};

use super::{record_of, replace, target};
use crate::envoy::json::string;
use crate::envoy::pointer::{node_at, node_at_mut};
use crate::envoy::text::patch::{Cut, Kept, Original, Patched, cut_at, patch};
use crate::envoy::tree::{set, type_of};

/// Writes a tree into the text that it was read from; yields it with the
/// texts that were cut out in its records, and the new text.
pub(crate) fn write(new: &Node, original: &Original<'_>) -> (Node, String) {
    // Records that differ can part what an anchor and its alias have in
    // common, so that more is written out and noted.
    const ROUNDS: usize = 3;
    let mut node = new.clone();
    let mut patched = patch(original, &node, &Kept::new());
    for _ in 0..ROUNDS {
        node = new.clone();
        keep(&mut node, original, &patched);
        let again = patch(original, &node, &Kept::new());
        let is_all = again.cuts.keys().eq(patched.cuts.keys());
        patched = again;
        if is_all {
            break;
        }
    }
    (node, patched.text)
}

/// Notes in the records of `new` what its text was cut out of.
fn keep(new: &mut Node, original: &Original<'_>, patched: &Patched) {
    let mut owners: BTreeMap<&str, BTreeMap<&str, &Cut>> = BTreeMap::new();
    for path in patched.walked.keys() {
        if node_at(new, &patched.walked[path]).is_some_and(|it| record_of(it).is_some()) {
            owners.insert(path, BTreeMap::new());
        }
    }
    for (path, cut) in &patched.cuts {
        if let Some((owner, rest)) = owner_of(path, &owners, original) {
            owners.entry(owner).or_default().insert(rest, cut);
        }
    }
    for (owner, cuts) in owners {
        let Some(place) = patched.walked.get(owner) else {
            continue;
        };
        let Some(node) = node_at_mut(new, place) else {
            continue;
        };
        if record_of(node).is_none()
            && let Some(old) = node_at(original.node, owner)
        {
            // Where there is no place for a record, nothing was changed either.
            let _ = super::record_in_any_case(old, node);
        }
        let steps = record_of(node).and_then(|it| it.field("undo"));
        let Some(Value::List(mut steps)) = steps.map(|it| it.value.clone()) else {
            continue;
        };
        if cuts.is_empty() && !steps.iter().any(|it| target(it).is_some()) {
            continue;
        }
        note(&mut steps, owner, &cuts, original);
        let list = Node::unplaced(Value::List(steps));
        super::note(node, "undo", list);
    }
}

fn note(steps: &mut Vec<Node>, owner: &str, cuts: &BTreeMap<&str, &Cut>, original: &Original<'_>) {
    for (path, cut) in cuts {
        if let Some(step) = steps.iter_mut().find(|it| target(it) == Some(path)) {
            if !cut.is_usual {
                set(step, "text", string(&cut.text));
            }
            continue;
        }
        let is_below = |above: &str| path.starts_with(&format!("{above}/"));
        if steps.iter().filter_map(target).any(is_below) {
            continue;
        }
        // Written anew as a whole, so put back as a whole.
        let Some(old) = node_at(original.node, &format!("{owner}{path}")) else {
            continue;
        };
        let below = format!("{path}/");
        steps.retain(|step| {
            let place = target(step).or_else(|| step.field("remove")?.as_str());
            !place.is_some_and(|place| place.starts_with(&below))
        });
        let mut step = replace(path, old);
        set(&mut step, "text", string(&cut.text));
        steps.push(step);
    }
    for step in steps {
        let is_replaced = step.field("replace").is_some() && step.field("text").is_none();
        let Some(path) = target(step).filter(|path| is_replaced && !cuts.contains_key(path)) else {
            continue;
        };
        if let Some(text) = cut_at(original, &format!("{owner}{path}")) {
            set(step, "text", string(text));
        }
    }
}

/// The object in whose record a place belongs, and the way on from there: the
/// closest with a record, or the closest that can have one.
fn owner_of<'a>(
    path: &'a str,
    owners: &BTreeMap<&str, BTreeMap<&str, &Cut>>,
    original: &Original<'_>,
) -> Option<(&'a str, &'a str)> {
    let ends = path.match_indices('/').map(|it| it.0).chain([path.len()]);
    let ways: Vec<_> = ends.map(|end| path.split_at(end)).collect();
    let has_record = |way: &&(&str, &str)| owners.contains_key(way.0);
    let found = ways.iter().rev().find(has_record);
    let can_have = |way: &&(&str, &str)| can_have_record(original.node, way.0);
    found.or_else(|| ways.iter().rev().find(can_have)).copied()
}

fn can_have_record(root: &Node, path: &str) -> bool {
    let mut steps = path.rsplit('/').skip(1);
    match steps.next() {
        Some("listeners" | "clusters" | "routes") => true,
        Some("resources") => node_at(root, path)
            .and_then(type_of)
            .is_some_and(|kind| matches!(kind, "Listener" | "Cluster")),
        _ => false,
    }
}
