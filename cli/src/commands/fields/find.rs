//! The field at a path that a person writes.

use btp_policy::node::{Node, Value};
use btp_policy::read::nearest;
use btp_policy::schema::{Field, Object};
use btp_policy::spec::{Owner, owner_at};
use btp_policy::yaml;

use super::roots;

/// What is at a path.
#[derive(Debug)]
pub(super) struct Found {
    /// The path, with `[]` where it goes into a list.
    pub(super) path: String,
    /// The field; `None`: `spec` or the configuration itself.
    pub(super) field: Option<&'static Field>,
    /// The closest field that has an example in which this one is: itself or one above it;
    /// with its path.
    pub(super) example: Option<(String, &'static Field)>,
    /// The object it is, or its items are.
    pub(super) object: Option<&'static Object>,
    /// The side that enforces it, if it is a policy's field.
    pub(super) owner: Option<Owner>,
}

/// The field at `path`, which may leave out `spec.` and `[]`.
///
/// # Errors
/// There is none: what there is instead.
pub(super) fn find(path: &str) -> Result<Found, String> {
    let steps: Vec<&str> = path
        .split('.')
        .map(|step| step.split_once('[').map_or(step, |(name, _)| name))
        .filter(|step| !step.is_empty())
        .collect();
    let begins = |root: &(&str, &Object)| steps.first() == Some(&root.0);
    let root = roots().into_iter().find(begins);
    let (name, object) = root.unwrap_or(roots()[0]);
    let mut found = Found {
        path: name.to_owned(),
        field: None,
        example: None,
        object: Some(object),
        owner: None,
    };
    // The steps below the field that has the example.
    let mut below: Vec<&str> = Vec::new();
    let mut of_spec = Vec::new();
    for step in &steps[usize::from(root.is_some())..] {
        let field = found.object.and_then(|object| object.field(step));
        let Some(field) = field else {
            return Err(unknown(step, &found));
        };
        if found.path.ends_with(|it: char| it.is_alphanumeric())
            && found.field.is_some_and(|it| is_list(&it.shape))
        {
            found.path.push_str("[]");
        }
        found.path.push_str(&format!(".{step}"));
        if field.example.is_some() {
            found.example = Some((found.path.clone(), field));
            below.clear();
        } else {
            below.push(step);
        }
        found.field = Some(field);
        found.object = field.shape.object();
        of_spec.push(*step);
    }
    let shows = |(_, field): &(String, &Field)| {
        let example = field.example.and_then(|text| yaml::parse(text).ok());
        example.is_some_and(|nodes| nodes.iter().any(|node| has(node, &below)))
    };
    found.example = found.example.filter(shows);
    if name == "config" {
        // From `policies` a path leads into a policy.
        let spec = of_spec.iter().position(|step| *step == "spec");
        of_spec = spec.map_or_else(Vec::new, |at| of_spec.split_off(at + 1));
    }
    found.owner = owner_at(&of_spec);
    Ok(found)
}

/// Whether the field at these steps is in an example, in some item of each list.
fn has(node: &Node, steps: &[&str]) -> bool {
    if let Value::List(items) = &node.value {
        return items.iter().any(|item| has(item, steps));
    }
    match steps {
        [] => true,
        [step, rest @ ..] => node.field(step).is_some_and(|node| has(node, rest)),
    }
}

fn is_list(shape: &btp_policy::schema::Shape) -> bool {
    use btp_policy::schema::Shape;
    match shape {
        Shape::List { .. } => true,
        Shape::Ours { ours, .. } => is_list(ours),
        _ => false,
    }
}

fn unknown(step: &str, found: &Found) -> String {
    let path = &found.path;
    let Some(object) = found.object else {
        return format!("{path} has no fields, and so no {step:?}");
    };
    let names: Vec<&str> = object.names().collect();
    match nearest(step, &names) {
        Some(name) => format!("{path} has no field {step:?}; did you mean {path}.{name}?"),
        None => format!("{path} has no field {step:?}; it has {}", names.join(", ")),
    }
}
