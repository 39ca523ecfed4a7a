//! Places in the files of a configuration.

use std::fmt;

use btp_policy::node::{Node, Value};
use btp_policy::path::{self, FieldPath};

use super::tree::{field, field_mut};

/// One step down a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A field, by its proto name.
    Key(String),
    /// An item of a list.
    Item(usize),
}

/// A place in one of the files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    /// Index of the file.
    pub(crate) file: usize,
    /// The way from its root.
    pub(crate) path: Vec<Step>,
}

impl Address {
    /// The root of a file.
    pub(crate) fn root(file: usize) -> Self {
        Self {
            file,
            path: Vec::new(),
        }
    }

    /// The field `key` below.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The item `index` below.
    pub(crate) fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut path = self.path.clone();
        path.push(step);
        Self {
            file: self.file,
            path,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => formatter.write_str(key)?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Item(item) => write!(formatter, "[{item}]")?,
            }
        }
        Ok(())
    }
}

impl From<&Address> for FieldPath {
    fn from(address: &Address) -> Self {
        let step = |step: &Step| match step {
            Step::Key(key) => path::Step::field(key),
            Step::Item(item) => path::Step::Item(*item),
        };
        address.path.iter().map(step).collect()
    }
}

/// The node at the end of a way.
pub(crate) fn at<'a>(root: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => field(node, key),
        Step::Item(index) => match &node.value {
            Value::List(items) => items.get(*index),
            _ => None,
        },
    })
}

/// The node at the end of a way, to be changed.
pub(crate) fn at_mut<'a>(root: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    path.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => field_mut(node, key),
        Step::Item(index) => match &mut node.value {
            Value::List(items) => items.get_mut(*index),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    #[test]
    fn a_way_leads_through_fields_of_either_name_and_items() {
        let node = json::parse(br#"{"filterChains":[{"a_b":1}]}"#).unwrap();
        let address = Address::root(0).key("filter_chains").item(0).key("a_b");
        assert_eq!(address.to_string(), "filter_chains[0].a_b");
        assert_eq!(at(&node, &address.path).unwrap().value, Value::Int(1));
        assert_eq!(at(&node, &Address::root(0).item(0).path), None);
    }
}
