//! Performs a change on one object of a configuration.
//!
//! Performing it again changes nothing. Fields are found by their name in
//! snake case and by their JSON name; what is added is snake case.

mod cluster;
mod http_options;
mod replaced;
mod slot;
mod upstream_filters;

use std::fmt;

use btp_policy::Code;
use btp_policy::node::{Node, Value};

use super::change::{Change, FilterPlace, Operation, Path, Step, Target};
use super::telemetry;
use crate::envoy::http_filter::behind_judges;
use crate::envoy::json::{IntoNode, list};
use crate::envoy::tree::{EMPTY, WrongKind, field, merge, same, text};
pub(super) use http_options::{CONNECTION_WINDOW, STREAM_WINDOW};
pub use replaced::Replaced;
use replaced::{lost, nothing, whole};
use slot::Visit;

/// What a change did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It put something into the object, and replaced nothing.
    Added,
    /// These values were replaced.
    Replaced(Vec<Replaced>),
    /// The value was there already.
    Present,
    /// It has no home in this object, and no effect is missing: the reason.
    Idle(&'static str),
    /// It only asks, or makes way where nothing stands.
    Nothing,
}

/// Why a change cannot be made. Prints as a predicate whose subject is the
/// change's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// Something else is where the object with this field must be.
    NoObject(String),
    /// Something else is where a list must be.
    NoList,
    /// Something else is where a part of the object must be: which, and where.
    WrongKind(String),
    /// The configuration and the policy contradict each other.
    Refused(&'static str),
}

impl Outcome {
    /// The outcome of a change that changed something.
    fn changed(replaced: Vec<Replaced>) -> Self {
        match replaced.is_empty() {
            true => Self::Added,
            false => Self::Replaced(replaced),
        }
    }
}

impl ChangeError {
    /// What kind of mistake it is.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NoObject(_) | Self::NoList | Self::WrongKind(_) => Code::WrongShape,
            Self::Refused(_) => Code::Contradiction,
        }
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoObject(field) => {
                write!(formatter, "must be an object to have a field {field}")
            }
            Self::NoList => formatter.write_str("must be a list"),
            Self::WrongKind(what) => formatter.write_str(what),
            Self::Refused(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<WrongKind> for ChangeError {
    fn from(wrong: WrongKind) -> Self {
        let WrongKind { field, wanted } = wrong;
        Self::WrongKind(format!("must have {wanted} in its field {field}"))
    }
}

/// Performs `change` on `object`, which is of the kind that `change.target`
/// says. A change that has been made is [`Outcome::Present`] when it is made
/// again: that tells whether it still holds.
///
/// # Errors
/// The change cannot be made; the object may have changed in part.
pub fn apply_change(object: &mut Node, change: &Change) -> Result<Outcome, ChangeError> {
    if change.target == Target::Route
        && change.path.0.first() == Some(&Step::Field("route".to_owned()))
        && field(object, "route").is_none()
    {
        return Ok(Outcome::Idle("the route has no backend"));
    }
    let path = &change.path;
    let outcome = match &change.operation {
        Operation::Set(value) => put(object, path, Visit::Make, whole, |slot| {
            if !slot.as_ref().is_some_and(|it| same(it, value)) {
                *slot = Some(value.clone());
            }
            Ok(())
        }),
        Operation::Default(value) | Operation::Enable(value) => default(object, path, value),
        Operation::Within(value, reason) => within(object, path, value, reason),
        Operation::Merge(value) => put(object, path, Visit::Make, lost, |slot| {
            Ok(merge(slot.get_or_insert(EMPTY), value)?)
        }),
        Operation::Append(value) => put(object, path, Visit::Make, nothing, |slot| {
            append(slot, value)
        }),
        Operation::Remove => put(object, path, Visit::Existing, whole, |slot| {
            *slot = None;
            Ok(())
        }),
        Operation::Forbid(value, reason) => forbid(object, path, *value, reason),
        Operation::Require(reason) => require(object, path, reason),
        Operation::HttpFilter(filter, place) => put(object, path, Visit::Make, nothing, |slot| {
            insert_filter(slot, filter, *place)
        }),
        Operation::RouteStatName(name) => {
            let Some(name) = telemetry::stat_name(object, name) else {
                return Ok(Outcome::Idle(telemetry::UNKNOWN_ROUTE));
            };
            let name = name.into_node();
            put(object, path, Visit::Make, whole, |slot| {
                *slot = Some(name.clone());
                Ok(())
            })
        }
        Operation::HttpOptions(part) => http_options::change(object, part),
        Operation::HealthCheck(check) => cluster::check_health(object, check),
        Operation::EndpointHosts => put(object, path, Visit::Existing, nothing, |slot| {
            cluster::ask_by_own_name(slot)
        }),
        Operation::Dns(settings) => cluster::set_dns(object, settings),
        Operation::ProxyProtocol(version) => {
            put(object, path, Visit::Make, cluster::lost_of_socket, |slot| {
                cluster::wrap_socket(slot, version)
            })
        }
        Operation::ZoneWeights(weights) => put(object, path, Visit::Existing, lost, |slot| {
            cluster::weigh_zones(slot, weights);
            Ok(())
        }),
        Operation::Nothing(reason) => Ok(Outcome::Idle(reason)),
    }?;
    Ok(match outcome {
        Outcome::Nothing if change.operation.carries_fields() => {
            Outcome::Idle("it has no such part")
        }
        outcome => outcome,
    })
}

/// Sets a field that nobody has set.
fn default(object: &mut Node, path: &Path, value: &Node) -> Result<Outcome, ChangeError> {
    let mut is_said_otherwise = false;
    let outcome = put(object, path, Visit::Make, nothing, |slot| {
        match slot {
            Some(there) => is_said_otherwise |= !same(there, value),
            None => *slot = Some(value.clone()),
        }
        Ok(())
    })?;
    Ok(match outcome {
        Outcome::Present if is_said_otherwise => {
            Outcome::Idle("the configuration has a value of its own")
        }
        outcome => outcome,
    })
}

/// Sets a field of an object that may be absent.
fn within(
    object: &mut Node,
    path: &Path,
    value: &Node,
    reason: &'static str,
) -> Result<Outcome, ChangeError> {
    let above = path.0.split_last().map_or(&[][..], |(_, above)| above);
    let mut is_there = false;
    slot::visit(object, above, Visit::Existing, &mut |slot| {
        is_there |= slot.is_some();
        Ok(())
    })?;
    if !is_there {
        return Ok(Outcome::Idle(reason));
    }
    put(object, path, Visit::Make, whole, |slot| {
        *slot = Some(value.clone());
        Ok(())
    })
}

/// Changes the values at `path`, and returns the outcome; `gives_way` tells which parts of
/// a value another one replaces.
fn put(
    object: &mut Node,
    path: &Path,
    visit: Visit,
    gives_way: fn(&Node, &Node, &str) -> Vec<Replaced>,
    mut change: impl FnMut(&mut Option<Node>) -> Result<(), ChangeError>,
) -> Result<Outcome, ChangeError> {
    let (mut found, mut is_changed, mut is_there) = (Vec::new(), false, false);
    slot::visit(object, &path.0, visit, &mut |slot| {
        is_there = true;
        let before = slot.clone();
        change(slot)?;
        let is_same = match (&before, &slot) {
            (Some(before), Some(after)) => same(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        is_changed |= !is_same;
        if let Some(before) = before.filter(|_| !is_same) {
            found.extend(match slot {
                Some(after) => gives_way(&before, after, &path.to_string()),
                None => whole(&before, &EMPTY, &path.to_string()),
            });
        }
        Ok(())
    })?;
    Ok(match (is_changed, is_there) {
        (true, _) => Outcome::changed(found),
        (false, true) => Outcome::Present,
        (false, false) => Outcome::Nothing,
    })
}

fn items(slot: &mut Option<Node>) -> Result<&mut Vec<Node>, ChangeError> {
    match &mut slot.get_or_insert_with(|| list([])).value {
        Value::List(items) => Ok(items),
        _ => Err(ChangeError::NoList),
    }
}

fn append(slot: &mut Option<Node>, value: &Node) -> Result<(), ChangeError> {
    let items = items(slot)?;
    if !items.iter().any(|item| same(item, value)) {
        items.push(value.clone());
    }
    Ok(())
}

fn insert_filter(
    slot: &mut Option<Node>,
    filter: &Node,
    place: FilterPlace,
) -> Result<(), ChangeError> {
    let filters = items(slot)?;
    let name = text(filter, "name");
    match filters.iter_mut().find(|other| text(other, "name") == name) {
        Some(other) if same(other, filter) => {}
        Some(other) => *other = filter.clone(),
        None => {
            let place = match place {
                FilterPlace::BeforeRouter => filters.len().saturating_sub(1),
                FilterPlace::BehindLimits => behind_judges(filters),
            };
            filters.insert(place, filter.clone());
        }
    }
    Ok(())
}

fn forbid(
    object: &mut Node,
    path: &Path,
    value: Option<&str>,
    reason: &'static str,
) -> Result<Outcome, ChangeError> {
    slot::visit(object, &path.0, Visit::Existing, &mut |slot| match slot {
        Some(found) if value.is_none_or(|value| found.as_str() == Some(value)) => {
            Err(ChangeError::Refused(reason))
        }
        _ => Ok(()),
    })?;
    Ok(Outcome::Nothing)
}

fn require(object: &mut Node, path: &Path, reason: &'static str) -> Result<Outcome, ChangeError> {
    let mut found = false;
    slot::visit(object, &path.0, Visit::Existing, &mut |slot| {
        found |= slot.is_some();
        Ok(())
    })?;
    if found {
        Ok(Outcome::Nothing)
    } else {
        Err(ChangeError::Refused(reason))
    }
}

#[cfg(test)]
mod tests;
