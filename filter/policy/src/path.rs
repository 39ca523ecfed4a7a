//! The path of a value in a document: `policies[1].spec.retry.numRetries`. Readers pass a
//! [`Path`] along; a problem keeps a [`FieldPath`].

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

/// A path that can be kept: the steps from the root to the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(Vec<Step>);

/// One step down a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// To a field of an object. Of a longer name the first [`Step::LONGEST`] bytes.
    Field(Box<str>),
    /// To an item of a list, counted from 0.
    Item(usize),
}

impl Step {
    /// The most bytes that are kept of a name: more than is ever shown, and little
    /// enough for hundreds of problems about names of megabytes.
    pub const LONGEST: usize = 400;

    /// The step to the field `name`.
    #[must_use]
    pub fn field(name: &str) -> Self {
        let mut kept = name.len().min(Self::LONGEST);
        while !name.is_char_boundary(kept) {
            kept = kept.saturating_sub(1);
        }
        Self::Field(name.get(..kept).unwrap_or(name).into())
    }
}

impl FieldPath {
    /// A path constant in code, with dots and brackets, such as `spec.targetRefs[0]`. Not
    /// for names from a document, which may contain dots.
    #[must_use]
    pub fn written(text: &str) -> Self {
        let mut path = Self::default();
        for piece in text.split('.').filter(|it| !it.is_empty()) {
            let mut parts = piece.split('[');
            let names = parts.by_ref().take(1).filter(|it| !it.is_empty());
            path.0.extend(names.map(Step::field));
            for part in parts {
                let index = part.strip_suffix(']').and_then(|it| it.parse().ok());
                path.0
                    .push(index.map_or_else(|| Step::field(part), Step::Item));
            }
        }
        path
    }

    /// The steps, from the root.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it is that of the whole document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The node that it leads to, or the closest one above it.
    #[must_use]
    pub fn closest<'a>(&self, root: &'a Node) -> &'a Node {
        let mut node = root;
        for step in &self.0 {
            let below = match (step, &node.value) {
                (Step::Field(name), _) => node.field(name),
                (Step::Item(index), Value::List(items)) => items.get(*index),
                (Step::Item(_), _) => None,
            };
            match below {
                Some(below) => node = below,
                None => return node,
            }
        }
        node
    }
}

impl From<Path<'_>> for FieldPath {
    fn from(path: Path<'_>) -> Self {
        Self::from(&path)
    }
}

impl From<&Path<'_>> for FieldPath {
    fn from(path: &Path<'_>) -> Self {
        let mut steps = Vec::new();
        let mut rest = path;
        loop {
            rest = match rest {
                Path::Root => break,
                Path::Field(parent, name) => {
                    steps.push(Step::field(name));
                    parent
                }
                Path::Item(parent, index) => {
                    steps.push(Step::Item(*index));
                    parent
                }
            };
        }
        steps.reverse();
        Self(steps)
    }
}

/// As [`FieldPath::written`].
impl From<&'static str> for FieldPath {
    fn from(text: &'static str) -> Self {
        Self::written(text)
    }
}

impl FromIterator<Step> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => Echo(name).fmt(formatter)?,
                Step::Field(name) => write!(formatter, ".{}", Echo(name))?,
                Step::Item(item) => write!(formatter, "[{item}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
