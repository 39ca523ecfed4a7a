//! The rules for imports: no cycles, and none that go up.

use std::collections::{BTreeMap, BTreeSet};

use super::resolve::Import;

/// Rooms by floor, from the ground up.
pub(super) type Floors = &'static [&'static [&'static str]];

/// Imports between siblings, by their parent; an import of or from a child's
/// inside counts as one of the child.
type Siblings<'a> = BTreeMap<&'a [String], BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>>;

/// Circles among the children of any module, as messages. Parent and child may
/// know each other.
pub(super) fn circles(imports: &[Import]) -> Vec<String> {
    let mut found = Vec::new();
    for (parent, edges) in &siblings(imports) {
        let mut told = BTreeSet::new();
        for start in edges.keys() {
            if told.contains(start) {
                continue;
            }
            let Some(circle) = shortest_circle(edges, start) else {
                continue;
            };
            told.extend(circle.iter().map(|(name, _)| *name));
            let parent = if parent.is_empty() {
                "the crate".to_owned()
            } else {
                parent.join("::")
            };
            let mut message = format!("a circle in {parent}:");
            for (name, import) in circle {
                message.push_str(&format!("\n  {name} by {}", import.shown));
            }
            found.push(message);
        }
    }
    found
}

/// Imports that do not go down, and rooms that have no floor, as messages.
pub(super) fn upward(imports: &[Import], floors: Floors) -> Vec<String> {
    let floor = |room: &str| floors.iter().position(|rooms| rooms.contains(&room));
    let mut found = BTreeSet::new();
    let all = siblings(imports);
    for (from, edges) in all.get([].as_slice()).into_iter().flatten() {
        for (to, import) in edges {
            match (floor(from), floor(to)) {
                (Some(above), Some(below)) if above > below => {}
                (Some(_), Some(_)) => {
                    found.insert(format!("{from} must not know {to}: {}", import.shown));
                }
                (above, _) => {
                    let room = if above.is_none() { from } else { to };
                    found.insert(format!("room {room} has no floor"));
                }
            }
        }
    }
    found.into_iter().collect()
}

fn siblings(imports: &[Import]) -> Siblings<'_> {
    let mut all = Siblings::new();
    for import in imports {
        let common = import.from.iter().zip(&import.to);
        let depth = common.take_while(|(a, b)| a == b).count();
        let (Some(from), Some(to)) = (import.from.get(depth), import.to.get(depth)) else {
            continue;
        };
        let parent = all.entry(&import.from[..depth]).or_default();
        parent.entry(from).or_default().entry(to).or_insert(import);
    }
    all
}

/// By breadth-first search, the steps from `start` back to it.
fn shortest_circle<'a>(
    edges: &BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>,
    start: &'a str,
) -> Option<Vec<(&'a str, &'a Import)>> {
    let mut came_by: BTreeMap<&str, (&str, &Import)> = BTreeMap::new();
    let mut queue = vec![start];
    let mut next = 0;
    while let Some(&at) = queue.get(next) {
        next += 1;
        for (&to, &import) in edges.get(at).into_iter().flatten() {
            if to == start {
                let mut steps = vec![(at, import)];
                let mut at = at;
                while let Some(&(before, import)) = came_by.get(at) {
                    steps.push((before, import));
                    at = before;
                }
                steps.reverse();
                return Some(steps);
            }
            if !came_by.contains_key(to) {
                came_by.insert(to, (at, import));
                queue.push(to);
            }
        }
    }
    None
}
