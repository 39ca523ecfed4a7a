//! The fields of the tables, values inside and outside of their bounds, and the
//! smallest documents that have them.

use btp_policy::schema::{Form, Object, Shape};
use btp_policy::spec::SPEC;
use serde_json::{Map, Value, json};

/// A value at a field.
pub(crate) struct Case {
    /// Where, with `[]` for the items of lists.
    pub(crate) path: String,
    pub(crate) value: Value,
    /// The `spec` that has it.
    pub(crate) spec: Value,
    pub(crate) is_inside: bool,
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut found = Vec::new();
    walk(&SPEC, &mut Vec::new(), &mut found);
    found
}

fn walk(object: &'static Object, steps: &mut Vec<Step>, found: &mut Vec<Case>) {
    for field in object.fields {
        steps.push(Step::Field(field.name));
        values_at(&field.shape, steps, found);
        steps.pop();
    }
}

#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Item,
    Key,
}

fn values_at(shape: &'static Shape, steps: &mut Vec<Step>, found: &mut Vec<Case>) {
    let path = shown(steps);
    for (values, is_inside) in [(inside(&path, shape), true), (outside(shape), false)] {
        for value in values {
            let spec = document_with(steps, &value);
            let path = path.clone();
            found.push(Case {
                path,
                value,
                spec,
                is_inside,
            });
        }
    }
    match shape {
        Shape::Object(object) => walk(object, steps, found),
        Shape::List { item, .. } => {
            steps.push(Step::Item);
            values_at(item, steps, found);
            steps.pop();
        }
        Shape::Dictionary(value) => {
            steps.push(Step::Key);
            values_at(value, steps, found);
            steps.pop();
        }
        Shape::Ours {
            ours: Shape::Object(object),
            ..
        } => walk(object, steps, found),
        _ => {}
    }
}

fn shown(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Field(name) if path.is_empty() => path.push_str(name),
            Step::Field(name) => path.push_str(&format!(".{name}")),
            Step::Item => path.push_str("[]"),
            Step::Key => path.push_str("{}"),
        }
    }
    path
}

fn inside(path: &str, shape: &Shape) -> Vec<Value> {
    match shape {
        Shape::Ours { ours, .. } => inside(path, ours),
        Shape::Boolean => vec![true.into(), false.into()],
        Shape::Integer { least, most } => {
            let least = if *least == i64::MIN { 1 } else { *least };
            vec![least.into(), (*most).into()]
        }
        Shape::Number => vec![json!(1), json!(0.5)],
        Shape::Percentage => vec![json!(0), json!(0.0001), json!(100)],
        Shape::Choice(names) => names.iter().map(|name| (*name).into()).collect(),
        Shape::Duration => vec!["0s".into(), "1ms".into(), "1h30m".into()],
        Shape::Positive => vec!["1ms".into(), "1h".into()],
        Shape::Quantity => vec![json!(70_000), "128Ki".into()],
        Shape::Text { .. } | Shape::Object(_) | Shape::List { .. } => {
            smallest_at(path, shape).into_iter().collect()
        }
        Shape::Either(shapes) if are_numbers(shapes) => {
            shapes.iter().flat_map(|it| inside(path, it)).collect()
        }
        Shape::Any | Shape::Never | Shape::Dictionary(_) | Shape::Either(_) => Vec::new(),
    }
}

fn outside(shape: &Shape) -> Vec<Value> {
    let wrong = json!({ "no": "such" });
    match shape {
        Shape::Ours { ours, .. } => outside(ours),
        Shape::Boolean => vec!["true".into(), json!(1), wrong],
        Shape::Integer { least, most } => {
            let mut values = vec!["seven".into(), json!(1.5), wrong];
            values.extend(least.checked_sub(1).map(Value::from));
            values.extend(most.checked_add(1).map(Value::from));
            values
        }
        Shape::Number => vec!["1".into(), wrong],
        Shape::Percentage => vec![json!(-0.0001), json!(100.5), "1".into(), wrong],
        Shape::Choice(_) => vec!["NoSuchChoice".into(), json!(7), wrong],
        Shape::Duration | Shape::Positive => {
            let mut values: Vec<Value> = ["", "1", "1.5s", "-1s", "1d", "123456s"]
                .into_iter()
                .map(Value::from)
                .collect();
            values.extend([json!(5), wrong]);
            if let Shape::Positive = shape {
                values.push("0s".into());
            }
            values
        }
        Shape::Quantity => vec!["1.5Mi".into(), "1m".into(), json!(-1), "0".into(), wrong],
        Shape::Text { least, most, form } => {
            let mut values = vec![json!(5), wrong];
            if *least > 0 {
                values.push("".into());
            }
            if *most < 10_000 {
                values.push("a".repeat(*most + 1).into());
            }
            match form {
                Form::Free => {}
                Form::OneLine => values.push("a\nb".into()),
                Form::Base64 => values.push("a".into()),
                _ => values.push("a b".into()),
            }
            values
        }
        Shape::List {
            least, most, item, ..
        } => {
            let mut values = vec!["text".into(), wrong];
            if *least > 0 {
                values.push(json!([]));
            }
            if *most < 300 {
                let item = smallest(item);
                values.push(vec![item; *most + 1].into());
            }
            values
        }
        Shape::Dictionary(_) => vec!["text".into(), json!([])],
        Shape::Object(_) => vec!["text".into(), json!([1]), wrong],
        Shape::Either(shapes) if are_numbers(shapes) => shapes.iter().flat_map(outside).collect(),
        Shape::Either(_) => vec![wrong],
        Shape::Never => vec!["anything".into()],
        Shape::Any => Vec::new(),
    }
}

/// Whether these are ranges of numbers, with gaps between them.
fn are_numbers(shapes: &[Shape]) -> bool {
    let is_range = |it: &Shape| matches!(it, Shape::Integer { .. });
    shapes.iter().all(is_range)
}

/// The smallest value, if a document with nothing else in it can have it.
fn smallest_at(path: &str, shape: &Shape) -> Option<Value> {
    let context = context(path);
    (context.is_some() || !matches!(shape, Shape::Object(_) | Shape::List { .. }))
        .then(|| context.unwrap_or_else(|| smallest(shape)))
}

/// The smallest value of a shape, rules over several fields apart.
fn smallest(shape: &Shape) -> Value {
    match shape {
        Shape::Ours { ours, .. } => smallest(ours),
        Shape::Any => json!({}),
        Shape::Boolean => true.into(),
        Shape::Integer { least, most } => 1.clamp(*least, *most).into(),
        Shape::Number | Shape::Percentage => 1.into(),
        Shape::Choice(names) => names[0].into(),
        Shape::Duration | Shape::Positive => "1s".into(),
        Shape::Quantity => "128Ki".into(),
        Shape::Text { least, form, .. } => match form {
            Form::Base64 => "Zm9v".into(),
            Form::Percent => "5%".into(),
            _ => "a".repeat((*least).max(1)).into(),
        },
        Shape::List { least, item, .. } => vec![smallest(item); (*least).max(1)].into(),
        Shape::Dictionary(value) => json!({ "key": smallest(value) }),
        Shape::Either(shapes) => smallest(&shapes[0]),
        Shape::Never => Value::Null,
        Shape::Object(object) => object
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| (field.name.to_owned(), smallest(&field.shape)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// A value at this path with what the rules over several fields require.
fn context(path: &str) -> Option<Value> {
    let rows: Value = serde_json::from_str(include_str!("contexts.json")).expect("is JSON");
    let found = rows.get(path).or_else(|| rows.get(in_selector(path)?));
    found.cloned()
}

/// Where a path leads in a condition on requests, of which there are many.
fn in_selector(path: &str) -> Option<String> {
    let lists = ["clientSelectors[]", "match[]", "exempt[]", "requests[]"];
    let begins = lists
        .iter()
        .find_map(|list| Some(path.find(list)? + list.len()));
    Some(format!("selector{}", path.get(begins?..)?))
}

/// The smallest `spec` that has the value.
fn document_with(steps: &[Step], value: &Value) -> Value {
    let mut spec = json!({});
    if let [Step::Field(first), ..] = steps {
        for (name, needed) in context(&format!("{first}+"))
            .unwrap_or_default()
            .as_object()
            .into_iter()
            .flatten()
        {
            spec[name] = needed.clone();
        }
    }
    put(&mut spec, &Shape::Object(&SPEC), &[], steps, value);
    spec
}

fn put(node: &mut Value, shape: &Shape, before: &[Step], steps: &[Step], value: &Value) {
    let Some((step, rest)) = steps.split_first() else {
        *node = value.clone();
        return;
    };
    let mut path = before.to_vec();
    path.push(*step);
    let shape = match shape {
        Shape::Ours { ours, .. } => ours,
        shape => shape,
    };
    match (step, shape) {
        (Step::Field(name), Shape::Object(object)) => {
            let field = object.field(name).expect("is in the table");
            let needed = needed(&path, &field.shape, rest.is_empty(), node);
            let place = &mut node[*name];
            if place.is_null() {
                *place = needed;
            }
            put(place, &field.shape, &path, rest, value);
        }
        (Step::Item, Shape::List { item, .. }) => {
            if node.as_array().is_none_or(Vec::is_empty) {
                *node = json!([smallest(item)]);
            }
            put(&mut node[0], item, &path, rest, value);
        }
        (Step::Key, Shape::Dictionary(item)) => {
            let key = node.as_object().and_then(|it| it.keys().next().cloned());
            let key = key.unwrap_or_else(|| "key".to_owned());
            put(&mut node[key], item, &path, rest, value);
        }
        _ => panic!("{}", shown(&path)),
    }
}

/// What is at a field before the value is put below it; at its last step what must be
/// beside it is put there, too.
fn needed(path: &[Step], shape: &Shape, is_last: bool, beside: &mut Value) -> Value {
    let shown = shown(path);
    if let Some(Value::Object(others)) = context(&format!("{shown}|")) {
        for (name, other) in others {
            if other.is_null() {
                beside.as_object_mut().map(|it| it.remove(&name));
            } else {
                beside[name] = other;
            }
        }
    }
    match is_last {
        true => Value::Null,
        false => context(&shown).unwrap_or_else(|| smallest(shape)),
    }
}
