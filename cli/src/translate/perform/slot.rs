//! Finding a place in an object, and making it where it is missing.

use btp_policy::node::{Node, Value};

use super::ChangeError;
use crate::envoy::json::{IntoNode, list};
use crate::envoy::tree::{EMPTY, field, field_mut, remove, set};
use crate::translate::change::Step;

/// Whether what is missing on the way is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// It is made.
    Make,
    /// Nothing is visited then.
    Existing,
}

/// Calls `end` with the value at the end of `path`; it may set another value there, or
/// remove it.
pub(super) fn visit(
    node: &mut Node,
    path: &[Step],
    how: Visit,
    end: &mut dyn FnMut(&mut Option<Node>) -> Result<(), ChangeError>,
) -> Result<(), ChangeError> {
    let Some((step, rest)) = path.split_first() else {
        let mut slot = Some(std::mem::replace(node, EMPTY));
        let done = end(&mut slot);
        *node = slot.unwrap_or(EMPTY);
        return done;
    };
    match step {
        Step::Field(name) => visit_field(node, name, rest, how, end),
        Step::Each => {
            for item in items(node)? {
                visit(item, rest, how, end)?;
            }
            Ok(())
        }
        Step::Item {
            key,
            value,
            is_default,
        } => {
            let is_it = |item: &Node| match field(item, key).map(|it| &it.value) {
                Some(Value::String(text)) => text == value,
                Some(_) => false,
                None => *is_default,
            };
            let items = items(node)?;
            let index = match items.iter().position(is_it) {
                Some(index) => index,
                None if how == Visit::Existing => return Ok(()),
                None => {
                    let mut item = EMPTY;
                    set(&mut item, key, value.into_node());
                    items.push(item);
                    items.len() - 1
                }
            };
            visit(&mut items[index], rest, how, end)
        }
    }
}

fn visit_field(
    node: &mut Node,
    name: &str,
    rest: &[Step],
    how: Visit,
    end: &mut dyn FnMut(&mut Option<Node>) -> Result<(), ChangeError>,
) -> Result<(), ChangeError> {
    if !matches!(node.value, Value::Map(_)) {
        return Err(ChangeError::NoObject(name.to_owned()));
    }
    let is_there = field(node, name).is_some();
    let is_each = rest.first() == Some(&Step::Each);
    if !is_there && (is_each || how == Visit::Existing) {
        return Ok(());
    }
    if rest.is_empty() {
        let mut slot = field_mut(node, name)
            .map(|there| std::mem::replace(there, EMPTY))
            .filter(|there| there.value != Value::Null);
        let done = end(&mut slot);
        match slot {
            Some(value) => set(node, name, value),
            None => drop(remove(node, name)),
        }
        return done;
    }
    if !is_there {
        let empty = match rest.first() {
            Some(Step::Field(_)) | None => EMPTY,
            Some(_) => list([]),
        };
        set(node, name, empty);
    }
    match field_mut(node, name) {
        Some(below) => visit(below, rest, how, end),
        None => Ok(()),
    }
}

fn items(node: &mut Node) -> Result<&mut Vec<Node>, ChangeError> {
    match &mut node.value {
        Value::List(items) => Ok(items),
        _ => Err(ChangeError::NoList),
    }
}
