//! What is wrong with a document, and the list that collects all of it.

use std::collections::BTreeSet;
use std::fmt;

use crate::node::{Mark, Node};
use crate::path::Path;
use crate::regexes::Regexes;

/// One thing that is wrong. Prints as `path: reason (got value)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Where, as `policies[1].spec.retry.numRetries`; empty for the whole
    /// document.
    pub path: String,
    /// Where in the file, if the syntax keeps track of it.
    pub mark: Mark,
    /// The offending value, shortened; `None` where something is missing.
    pub value: Option<String>,
    /// What is wrong and what to do instead: a predicate whose subject is
    /// the path.
    pub reason: String,
}

/// Everything that is wrong with a document, in reading order.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    /// Regexes read so far: many rules share few of them.
    pub regexes: Regexes,
}

impl Problem {
    /// A problem without a value or a place in a file.
    #[must_use]
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mark: Mark::UNKNOWN,
            value: None,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "the document"
        } else {
            &self.path
        };
        write!(formatter, "{path}: {}", self.reason)?;
        match &self.value {
            Some(value) => write!(formatter, " (got {value})"),
            None => Ok(()),
        }
    }
}

impl Problems {
    /// Notes what is wrong with `node`, which stands at `path`.
    pub fn refuse(&mut self, path: &Path<'_>, node: &Node, reason: impl Into<String>) {
        self.list.push(Problem {
            path: path.to_string(),
            mark: node.mark,
            value: Some(node.value.excerpt()),
            reason: reason.into(),
        });
    }

    /// Notes a problem that has no value to show, such as a missing field.
    pub fn note(&mut self, path: &Path<'_>, mark: Mark, reason: impl Into<String>) {
        self.list.push(Problem {
            path: path.to_string(),
            mark,
            value: None,
            reason: reason.into(),
        });
    }

    /// Adds a problem found elsewhere.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Runs `read`, and gives what it found wrong instead of adding it.
    pub fn aside<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, Vec<Problem>) {
        let before = std::mem::take(&mut self.list);
        let value = read(self);
        let found = std::mem::replace(&mut self.list, before);
        (value, found)
    }

    /// Whether something is wrong at this path.
    #[must_use]
    pub fn has_one_at(&self, path: &str) -> bool {
        self.list.iter().any(|problem| problem.path == path)
    }

    /// The paths at which something is wrong.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<String> {
        self.list.iter().map(|it| it.path.clone()).collect()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems in reading order.
    #[must_use]
    pub fn into_vec(self) -> Vec<Problem> {
        self.list
    }
}
