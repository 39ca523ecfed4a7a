//! What Envoy Gateway refuses of a `telemetry` later.

use super::operators::wrong_with;
use crate::code::Code;
use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::HeaderName;

/// The operators of access logs, which names of spans take.
pub(in crate::spec) fn span_name(at: Cursor<'_>, problems: &mut Problems) {
    if let Some(text) = at.string(problems)
        && let Some(reason) = wrong_with(text)
    {
        at.refuse(problems, Code::UnknownOperator, reason);
    }
}

/// `tags`: a name each, with the same operators.
pub(in crate::spec) fn tags(at: Cursor<'_>, problems: &mut Problems) {
    each(at, problems, span_name);
}

/// `customTags`: a name each, and the object of its type, which says something.
pub(in crate::spec) fn custom_tags(at: Cursor<'_>, problems: &mut Problems) {
    each(at, problems, |at, problems| {
        let kind = at.node.field("type").and_then(Node::as_str);
        let (field, part) = match kind {
            Some("Literal") => ("literal", "value"),
            Some("Environment") => ("environment", "name"),
            Some("RequestHeader") => ("requestHeader", "name"),
            _ => return,
        };
        let Some(source) = at.node.field(field) else {
            let reason = format!(
                "must have {field}, as its type is {}",
                kind.unwrap_or_default()
            );
            return at.refuse(problems, Code::FieldOfType, reason);
        };
        let Some(node) = source.field(part) else {
            return;
        };
        let below = Path::Field(&at.path, field);
        let path = Path::Field(&below, part);
        let at = Cursor { node, path };
        match (field, node.as_str()) {
            (_, Some("")) => at.refuse(problems, Code::TextLength, "must not be empty"),
            ("requestHeader", Some(name)) if HeaderName::new(name).is_none() => {
                at.refuse(
                    problems,
                    Code::MalformedHeaderName,
                    "must be the name of a header",
                );
            }
            _ => {}
        }
    });
}

/// Looks at each value under a free name, which must not be empty.
fn each(at: Cursor<'_>, problems: &mut Problems, look: impl Fn(Cursor<'_>, &mut Problems)) {
    let Value::Map(entries) = &at.node.value else {
        return;
    };
    for entry in entries.iter().filter(|it| it.node.value != Value::Null) {
        let path = Path::Field(&at.path, &entry.key);
        let node = &entry.node;
        let below = Cursor { node, path };
        if entry.key.is_empty() {
            below.refuse(problems, Code::TextLength, "must not have an empty name");
        }
        look(below, problems);
    }
}

pub(in crate::spec) fn stat_name(at: Cursor<'_>, problems: &mut Problems) {
    const KNOWN: [&str; 4] = [
        "ROUTE_NAME",
        "ROUTE_NAMESPACE",
        "ROUTE_KIND",
        "ROUTE_RULE_NAME",
    ];
    let Some(text) = at.string(problems) else {
        return;
    };
    let mut pieces = text.split('%').skip(1);
    while let Some(operator) = pieces.next() {
        let is_closed = pieces.next().is_some();
        if !is_closed || !KNOWN.contains(&operator) {
            let known = KNOWN.map(|name| format!("%{name}%")).join(", ");
            at.refuse(
                problems,
                Code::UnknownOperator,
                format!("must have no operators but {known}"),
            );
            return;
        }
    }
}
