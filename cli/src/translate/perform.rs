//! Performs a change on one object of a configuration.
//!
//! Performing it again changes nothing. Fields are found by their name in
//! snake case and by their JSON name; what is added is snake case.

mod cluster;
mod http_options;
mod slot;

use btp_policy::node::{Node, Value};

use super::change::{Change, How, Path, Place, Step};
use slot::{Fields, Visit};

/// What a change did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It put something where nothing stood.
    Added,
    /// It put something, or nothing, where these values stood.
    Replaced(Vec<Node>),
    /// Everything is as it was.
    Same,
    /// It has no home in this object, and no effect is missing: the reason.
    Idle(&'static str),
}

/// Performs `change` on `object`, which is of the kind that `change.place`
/// says.
///
/// # Errors
/// The configuration and the policy contradict each other; a predicate whose
/// subject is `change.path`. The object may have changed in part.
pub fn apply_change(object: &mut Node, change: &Change) -> Result<Outcome, String> {
    if change.place == Place::Route
        && change.path.0.first() == Some(&Step::Field("route".to_owned()))
        && object.get("route").is_none()
    {
        return Ok(Outcome::Idle("the route has no backend"));
    }
    match &change.how {
        How::Set(value) => put(object, &change.path, Visit::Make, |slot| {
            if !slot.as_ref().is_some_and(|it| slot::same(it, value)) {
                *slot = Some(value.clone());
            }
        }),
        How::Default(value) => put(object, &change.path, Visit::Make, |slot| {
            slot.get_or_insert_with(|| value.clone());
        }),
        How::Merge(value) => put(object, &change.path, Visit::Make, |slot| {
            slot::merge(slot.get_or_insert_with(|| slot::EMPTY), value);
        }),
        How::Append(value) => put(object, &change.path, Visit::Make, |slot| {
            append(slot, value);
        }),
        How::Remove => put(object, &change.path, Visit::Existing, |slot| *slot = None),
        How::Forbid(value, reason) => forbid(object, &change.path, *value, reason),
        How::Require(reason) => require(object, &change.path, reason),
        How::HttpFilter(filter) => put(object, &change.path, Visit::Make, |slot| {
            insert_filter(slot, filter);
        }),
        How::HttpOptions(part) => http_options::change(object, part),
        How::HealthCheck(check) => cluster::check_health(object, check),
        How::Dns(settings) => cluster::set_dns(object, settings),
        How::ProxyProtocol(version) => put(object, &change.path, Visit::Make, |slot| {
            cluster::wrap_socket(slot, version);
        }),
        How::ZoneWeights(weights) => put(object, &change.path, Visit::Existing, |slot| {
            cluster::weigh_zones(slot, weights);
        }),
        How::Nothing(reason) => Ok(Outcome::Idle(reason)),
    }
}

/// Changes the values at `path`, and says what became of them.
fn put(
    object: &mut Node,
    path: &Path,
    visit: Visit,
    mut change: impl FnMut(&mut Option<Node>),
) -> Result<Outcome, String> {
    let (mut replaced, mut added) = (Vec::new(), false);
    slot::visit(object, &path.0, visit, &mut |slot| {
        let before = slot.clone();
        change(slot);
        match before {
            Some(before) if !slot.as_ref().is_some_and(|it| slot::same(it, &before)) => {
                replaced.push(before);
            }
            None if slot.is_some() => added = true,
            _ => {}
        }
        Ok(())
    })?;
    Ok(match (replaced.is_empty(), added) {
        (false, _) => Outcome::Replaced(replaced),
        (true, true) => Outcome::Added,
        (true, false) => Outcome::Same,
    })
}

fn append(slot: &mut Option<Node>, value: &Node) {
    let list = slot.get_or_insert_with(|| Node::unplaced(Value::List(Vec::new())));
    if let Value::List(items) = &mut list.value
        && !items.iter().any(|item| slot::same(item, value))
    {
        items.push(value.clone());
    }
}

/// The last filter is the router.
fn insert_filter(slot: &mut Option<Node>, filter: &Node) {
    let list = slot.get_or_insert_with(|| Node::unplaced(Value::List(Vec::new())));
    let Value::List(filters) = &mut list.value else {
        return;
    };
    let name = |node: &Node| node.get("name").and_then(Node::as_str).map(str::to_owned);
    match filters.iter_mut().find(|other| name(other) == name(filter)) {
        Some(other) if slot::same(other, filter) => {}
        Some(other) => *other = filter.clone(),
        None => filters.insert(filters.len().saturating_sub(1), filter.clone()),
    }
}

fn forbid(
    object: &mut Node,
    path: &Path,
    value: Option<&str>,
    reason: &str,
) -> Result<Outcome, String> {
    slot::visit(object, &path.0, Visit::Existing, &mut |slot| match slot {
        Some(found) if value.is_none_or(|value| found.as_str() == Some(value)) => {
            Err(reason.to_owned())
        }
        _ => Ok(()),
    })?;
    Ok(Outcome::Same)
}

fn require(object: &mut Node, path: &Path, reason: &str) -> Result<Outcome, String> {
    let mut found = false;
    slot::visit(object, &path.0, Visit::Existing, &mut |slot| {
        found |= slot.is_some();
        Ok(())
    })?;
    if found {
        Ok(Outcome::Same)
    } else {
        Err(reason.to_owned())
    }
}

#[cfg(test)]
mod tests;
