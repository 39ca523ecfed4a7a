//! What a change took from a configuration: values that somebody wrote and
//! Envoy no longer goes by.

use std::fmt;

use btp_policy::node::{Node, Value};

use crate::envoy::tree::{field, same};

/// A value that a change replaced. Prints as `route.timeout (was "15s")`.
#[derive(Clone, Debug, PartialEq)]
pub struct Replaced {
    /// The place below the changed object, as it is spelt there.
    pub path: String,
    /// The value.
    pub was: Node,
}

impl Replaced {
    /// `was` was replaced at `path`.
    pub(crate) fn new(path: impl Into<String>, was: &Node) -> Self {
        Self {
            path: path.into(),
            was: was.clone(),
        }
    }
}

impl Replaced {
    /// The value, cut if it is long.
    pub(crate) fn excerpt(&self) -> String {
        const LONGEST: usize = 60;
        let text = serde_json::to_string(&self.was).unwrap_or_default();
        match text.chars().count() {
            ..=LONGEST => text,
            _ => self.was.value.excerpt(),
        }
    }
}

impl fmt::Display for Replaced {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (was {})", self.path, self.excerpt())
    }
}

/// The whole value is replaced.
pub(super) fn whole(before: &Node, _: &Node, path: &str) -> Vec<Replaced> {
    vec![Replaced::new(path, before)]
}

/// A value stays, and more is beside it.
pub(super) fn nothing(_: &Node, _: &Node, _: &str) -> Vec<Replaced> {
    Vec::new()
}

/// What `before` said and `after` does not, field by field; both are at `path`
/// below the changed object. What is only moved into another place is the
/// caller's to know.
pub(super) fn lost(before: &Node, after: &Node, path: &str) -> Vec<Replaced> {
    let mut found = Vec::new();
    compare(before, Some(after), path, &mut found);
    found
}

fn compare(before: &Node, after: Option<&Node>, path: &str, found: &mut Vec<Replaced>) {
    match (&before.value, after) {
        (Value::Null, _) => {}
        (Value::Map(entries), Some(after)) if matches!(after.value, Value::Map(_)) => {
            for entry in entries {
                let key = &entry.key;
                let below = match path {
                    "" => key.clone(),
                    _ => format!("{path}.{key}"),
                };
                compare(&entry.node, field(after, key), &below, found);
            }
        }
        (_, Some(after)) if same(before, after) => {}
        _ => found.push(Replaced::new(path, before)),
    }
}
