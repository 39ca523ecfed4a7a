//! Where a value stands in a document: `policies[1].spec.retry.numRetries`.

use std::fmt;

use crate::echo::Echo;
use crate::node::{Node, Value};

/// A path, linked from leaf to root so that walking a document allocates
/// nothing until a problem has to be written down.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    /// The document itself.
    Root,
    /// A field of an object.
    Field(&'a Path<'a>, &'a str),
    /// An item of a list, counted from 0.
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => Echo(name).fmt(formatter),
            Self::Field(parent, name) => write!(formatter, "{parent}.{}", Echo(name)),
            Self::Item(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// The node at a path as [`Path`] prints it, or the closest one above it.
#[must_use]
pub fn closest<'a>(root: &'a Node, path: &str) -> &'a Node {
    let mut node = root;
    for step in path.split(['.', '[']) {
        let below = match step.strip_suffix(']') {
            Some(index) => match &node.value {
                Value::List(items) => index.parse().ok().and_then(|it: usize| items.get(it)),
                _ => None,
            },
            None => node.field(step),
        };
        match below {
            Some(below) => node = below,
            None => return node,
        }
    }
    node
}

#[cfg(test)]
mod tests {
    use super::{Path, closest};
    use crate::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn prints_as_people_write_it() {
        let root = Path::Root;
        let policies = Path::Field(&root, "policies");
        let first = Path::Item(&policies, 1);
        assert_eq!(Path::Field(&first, "spec").to_string(), "policies[1].spec");
    }

    #[test]
    fn a_printed_path_leads_back() {
        let root = json::parse(br#"{"a":{"b":[1,{"c":2}]}}"#).unwrap();
        let text = |path| serde_json::to_string(closest(&root, path)).unwrap();
        assert_eq!(text("a.b[1].c"), "2");
        assert_eq!(text("a.b[7].c"), r#"[1,{"c":2}]"#);
        assert_eq!(text("x"), r#"{"a":{"b":[1,{"c":2}]}}"#);
    }
}
