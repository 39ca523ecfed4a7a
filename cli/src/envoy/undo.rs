//! Records of the original, written beside every change, so that the next run of `apply`
//! begins with the person's own configuration.
//!
//! Listeners, routes and clusters have metadata, which Envoy ignores unless a filter reads
//! it. A changed object contains there, under [`NAMESPACE`], the steps that restore it; an
//! added object is marked as added. Where the original text is more than its value (quotes,
//! comments, an alias), the record contains the text, too.

mod keep;

use btp_policy::Code;
use btp_policy::node::{Node, Value};
use btp_policy::path::{FieldPath, Step};
use btp_policy::problem::Problem;

pub(crate) use keep::write;

use super::json::{object, put, string};
use super::plugin::is_made as is_made_filter;
use super::pointer::{child_of, escape, parent_of};
use super::text::patch::Kept;
use super::tree::{
    WrongKind, entry, field, field_mut, object_mut, position, same, set, text, unplaced,
};

/// The namespace of the record in `metadata.filter_metadata`.
pub(crate) const NAMESPACE: &str = "btp.apply";

/// The field of a listener's record for what stood empty in `stats_config`.
pub(crate) const EMPTY_STATS: &str = "stats";

/// The same for `layered_runtime`.
pub(crate) const EMPTY_RUNTIME: &str = "runtime";

/// The same for the list of static clusters.
pub(crate) const NO_CLUSTERS: &str = "clusters";

/// The field of the record of an object that no single policy requires.
const FOR_FIELD: &str = "for_field";

/// Lists whose objects have records of their own.
const OWN_RECORD: [&str; 2] = ["virtual_hosts", "virtualHosts"];

/// Writes into `new` what leads back to `old`, unless they are the same.
///
/// # Errors
/// Something else is where its metadata must be.
pub(crate) fn record(old: &Node, new: &mut Node) -> Result<(), WrongKind> {
    let mut steps = Vec::new();
    reverse(new, old, "", &mut steps);
    match steps.is_empty() {
        true => Ok(()),
        false => record_in_any_case(old, new),
    }
}

fn record_in_any_case(old: &Node, new: &mut Node) -> Result<(), WrongKind> {
    put_record(
        new,
        object([("undo", Node::unplaced(Value::List(Vec::new())))]),
    )?;
    let mut steps = Vec::new();
    reverse(new, old, "", &mut steps);
    put_record(new, object([("undo", Node::unplaced(Value::List(steps)))]))
}

/// Says that `node` was made for a policy.
///
/// # Errors
/// As [`record`].
pub(crate) fn mark_made(node: &mut Node, from: &str, policy: &str) -> Result<(), WrongKind> {
    let record = object([("copy_of", string(from)), ("for_policy", string(policy))]);
    put_record(node, record)
}

/// Says that `node` was made for a field of policies, whichever.
///
/// # Errors
/// As [`record`].
pub(crate) fn mark_made_for(node: &mut Node, field: &str) -> Result<(), WrongKind> {
    put_record(node, object([(FOR_FIELD, string(field))]))
}

/// Whether an object was made by an earlier run.
pub(crate) fn is_made(node: &Node) -> bool {
    let is_there = |name: &str| record_of(node).is_some_and(|it| it.field(name).is_some());
    is_there("copy_of") || is_there(FOR_FIELD)
}

/// Takes the records and the objects of earlier runs out of a file; yields the
/// texts that its fields had, and what is wrong with records.
pub(crate) fn take_back(root: &mut Node) -> (Kept, Vec<Problem>) {
    let mut found = (Kept::new(), Vec::new());
    take_back_below(root, &mut Ways::default(), &mut found);
    found
}

/// The way to an object as people read it, and as a JSON pointer.
#[derive(Clone, Default)]
struct Ways {
    shown: Vec<Step>,
    pointer: String,
}

impl Ways {
    fn key(&self, key: &str) -> Self {
        Self {
            shown: [self.shown.as_slice(), &[Step::field(key)]].concat(),
            pointer: format!("{}/{}", self.pointer, escape(key)),
        }
    }

    fn item(&self, index: usize) -> Self {
        Self {
            shown: [self.shown.as_slice(), &[Step::Item(index)]].concat(),
            pointer: format!("{}/{index}", self.pointer),
        }
    }
}

fn take_back_below(node: &mut Node, ways: &mut Ways, found: &mut (Kept, Vec<Problem>)) {
    if let Value::List(items) = &mut node.value {
        items.retain(|item| !is_made(item));
        for (index, item) in items.iter_mut().enumerate() {
            take_back_below(item, &mut ways.item(index), found);
        }
        return;
    }
    match restore(node) {
        Ok(texts) => {
            let texts = texts.into_iter();
            let below = texts.map(|(path, text)| (ways.pointer.clone() + &path, text));
            found.0.extend(below);
        }
        Err(reason) => {
            let reason = format!(
                "{reason}: it was edited after btp apply wrote it; apply to your own \
                 configuration instead, or remove the metadata"
            );
            let path: FieldPath = ways.shown.iter().cloned().collect();
            let problem = Problem::new(path, Code::EditedSince, reason);
            found.1.push(problem.at(node.mark));
        }
    }
    if let Value::Map(entries) = &mut node.value {
        for entry in entries {
            take_back_below(&mut entry.node, &mut ways.key(&entry.key), found);
        }
    }
}

/// Puts `node` back to what it was; yields the texts of what was put back.
///
/// # Errors
/// The record does not fit: somebody has changed the object since.
fn restore(node: &mut Node) -> Result<Vec<(String, String)>, String> {
    let mut texts = Vec::new();
    let Some(record) = record_of(node) else {
        return Ok(texts);
    };
    let Some(Value::List(steps)) = record.field("undo").map(|undo| unplaced(undo).value) else {
        return Err(format!("metadata {NAMESPACE} has no list \"undo\""));
    };
    for step in steps {
        undo_step(node, &step)
            .ok_or_else(|| format!("metadata {NAMESPACE} does not match the configuration"))?;
        if let (Some(path), Some(text)) = (target(&step), step.field("text").and_then(Node::as_str))
        {
            texts.push((path.to_owned(), text.to_owned()));
        }
    }
    Ok(texts)
}

/// Where a step puts something back.
fn target(step: &Node) -> Option<&str> {
    let place = step.field("replace").or_else(|| step.field("insert"))?;
    place.as_str()
}

/// Adds a field to the record of an object, if it has one.
pub(crate) fn note(node: &mut Node, name: &str, value: Node) {
    let metadata = field_mut(node, "metadata");
    let all = metadata.and_then(|it| field_mut(it, "filter_metadata"));
    if let Some(record) = all.and_then(|it| field_mut(it, NAMESPACE)) {
        set(record, name, value);
    }
}

/// A field of the record of an object.
pub(crate) fn noted<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    record_of(node)?.field(name)
}

fn record_of(node: &Node) -> Option<&Node> {
    field(field(node, "metadata")?, "filter_metadata")?.field(NAMESPACE)
}

fn put_record(node: &mut Node, record: Node) -> Result<(), WrongKind> {
    let metadata = object_mut(node, "metadata")?;
    let all = object_mut(metadata, "filter_metadata").map_err(|it| it.below("metadata"))?;
    set(all, NAMESPACE, record);
    Ok(())
}

/// The steps from `new` back to `old`, in the order to take them.
fn reverse(new: &Node, old: &Node, path: &str, steps: &mut Vec<Node>) {
    match (&new.value, &old.value) {
        (Value::Map(news), Value::Map(olds)) => {
            for entry in news {
                let below = format!("{path}/{}", escape(&entry.key));
                match olds.iter().find(|old| old.key == entry.key) {
                    Some(_) if OWN_RECORD.contains(&entry.key.as_str()) => {}
                    Some(old) => reverse(&entry.node, &old.node, &below, steps),
                    None => steps.push(object([("remove", string(below))])),
                }
            }
            for (index, old) in olds.iter().enumerate() {
                if !news.iter().any(|new| new.key == old.key) {
                    let below = format!("{path}/{}", escape(&old.key));
                    steps.push(object([
                        ("insert", string(below)),
                        ("at", number(index)),
                        ("value", unplaced(&old.node)),
                    ]));
                }
            }
        }
        (Value::List(news), Value::List(olds)) => match align(news, olds) {
            Some(pairs) => {
                for (index, old) in pairs.iter().enumerate().rev() {
                    if old.is_none() {
                        let mut step = object([("remove", string(format!("{path}/{index}")))]);
                        put(&mut step, "name", text(&news[index], "name"));
                        steps.push(step);
                    }
                }
                for (new, old) in news.iter().zip(&pairs) {
                    if let Some(old) = old {
                        reverse(new, &olds[*old], &format!("{path}/{old}"), steps);
                    }
                }
            }
            None => steps.push(replace(path, old)),
        },
        _ if same(new, old) => {}
        _ => steps.push(replace(path, old)),
    }
}

fn replace(path: &str, old: &Node) -> Node {
    object([("replace", string(path)), ("value", unplaced(old))])
}

/// For each new item the old one that it was; `None` overall if old ones
/// are gone.
fn align(news: &[Node], olds: &[Node]) -> Option<Vec<Option<usize>>> {
    let mut pairs = Vec::new();
    let mut next = 0;
    for (index, new) in news.iter().enumerate() {
        let rest = news.len() - index;
        let is_old = olds
            .get(next)
            .is_some_and(|old| rest == olds.len() - next || alike(new, old));
        pairs.push(is_old.then_some(next));
        next += usize::from(is_old);
    }
    (next == olds.len()).then_some(pairs)
}

fn alike(new: &Node, old: &Node) -> bool {
    match (field(new, "name"), field(old, "name")) {
        (Some(new), Some(old)) => same(new, old),
        (None, None) => same(new, old),
        _ => false,
    }
}

fn undo_step(root: &mut Node, step: &Node) -> Option<()> {
    if let Some(path) = step.field("remove").and_then(Node::as_str) {
        let (parent, last) = parent_of(root, path)?;
        match &mut parent.value {
            Value::Map(entries) => {
                let place = position(entries, &last)?;
                entries.remove(place);
            }
            Value::List(items) => {
                items.remove(place_of(items, last.parse().ok()?, text(step, "name"))?);
            }
            _ => return None,
        }
        return Some(());
    }
    let value = step
        .field("value")
        .cloned()
        .unwrap_or_else(|| Node::unplaced(Value::Null));
    if let Some(path) = step.field("replace").and_then(Node::as_str) {
        match path {
            "" => *root = value,
            _ => {
                let (parent, last) = parent_of(root, path)?;
                *child_of(parent, &last)? = value;
            }
        }
        return Some(());
    }
    let path = step.field("insert").and_then(Node::as_str)?;
    let Value::Int(place) = step.field("at")?.value else {
        return None;
    };
    let (parent, last) = parent_of(root, path)?;
    let Value::Map(entries) = &mut parent.value else {
        return None;
    };
    let place = usize::try_from(place).ok()?.min(entries.len());
    entries.insert(place, entry(&last, value));
    Some(())
}

/// The place of an item that was put at `place`. What has a name is known by
/// it, as a person may have moved it. Earlier versions did not write names.
fn place_of(items: &[Node], place: usize, name: Option<&str>) -> Option<usize> {
    let is_it = |item: &Node| match name {
        Some(name) => text(item, "name") == Some(name),
        // Nothing of the person's own may go with it.
        None => field(item, "typed_config").is_none() || is_made_filter(item),
    };
    let there = items.get(place).filter(|it| is_it(it)).map(|_| place);
    there.or_else(|| name.and_then(|_| items.iter().position(is_it)))
}

fn number(number: usize) -> Node {
    Node::unplaced(Value::Int(i64::try_from(number).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
