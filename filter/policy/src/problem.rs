//! Errors in a document, and the list that collects all of them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::code::Code;
use crate::echo::presentable;
use crate::node::{Mark, Node};
use crate::path::{FieldPath, Path};

/// One thing that is wrong. Prints as `path: reason (got value)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What kind of mistake it is.
    pub code: Code,
    /// Where, as `policies[1].spec.retry.numRetries`; empty for the whole
    /// document.
    pub path: FieldPath,
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
    unlisted: usize,
}

/// What is said of problems that are not listed.
const UNLISTED: &str = "more problems than are listed";

impl Problem {
    /// A problem without a value or a place in a file. What is hidden in the
    /// reason is escaped, and what is too long is cut.
    #[must_use]
    pub fn new(path: impl Into<FieldPath>, code: Code, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            code,
            path: path.into(),
            mark: Mark::UNKNOWN,
            value: None,
            reason: match presentable(&reason) {
                Cow::Borrowed(_) => reason,
                Cow::Owned(shown) => shown,
            },
        }
    }

    /// The same with its place in a file.
    #[must_use]
    pub fn at(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            formatter.write_str("the document")?;
        } else {
            formatter.write_str(&presentable(&self.path.to_string()))?;
        }
        write!(formatter, ": {}", presentable(&self.reason))?;
        match &self.value {
            Some(value) => write!(formatter, " (got {value})"),
            None => Ok(()),
        }
    }
}

impl Problems {
    /// The most problems that are listed; the rest is counted.
    pub const MOST: usize = 500;

    /// Records a problem with `node`, which is at `path`.
    pub fn refuse(&mut self, path: &Path<'_>, node: &Node, code: Code, reason: impl Into<String>) {
        self.add(|| Problem {
            value: Some(node.value.excerpt()),
            ..Problem::new(path, code, reason).at(node.mark)
        });
    }

    /// Notes a problem that has no value to show, such as a missing field.
    pub fn note(&mut self, path: &Path<'_>, mark: Mark, code: Code, reason: impl Into<String>) {
        self.add(|| Problem::new(path, code, reason).at(mark));
    }

    /// Records an unknown field, with a reason that is expensive to find: it is only
    /// computed if the problem is listed.
    pub fn note_unknown<R: Into<String>>(
        &mut self,
        path: &Path<'_>,
        mark: Mark,
        reason: impl FnOnce() -> R,
    ) {
        self.add(|| Problem::new(path, Code::UnknownField, reason()).at(mark));
    }

    /// Adds a problem found elsewhere.
    pub fn push(&mut self, problem: Problem) {
        self.add(|| Problem {
            value: problem.value,
            ..Problem::new(problem.path, problem.code, problem.reason).at(problem.mark)
        });
    }

    fn add(&mut self, problem: impl FnOnce() -> Problem) {
        if self.list.len() < Self::MOST {
            self.list.push(problem());
        } else {
            self.unlisted += 1;
        }
    }

    /// Runs `read`, and gives what it found wrong instead of adding it.
    pub fn capture<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, Vec<Problem>) {
        let before = (std::mem::take(&mut self.list), self.unlisted);
        let value = read(self);
        let found = std::mem::take(&mut self.list);
        (self.list, self.unlisted) = before;
        (value, found)
    }

    /// Whether so much is wrong that further problems are counted only.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.list.len() >= Self::MOST
    }

    /// The paths at which something is wrong.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<FieldPath> {
        self.list.iter().map(|it| it.path.clone()).collect()
    }

    /// How many there are, those that are not listed included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len().saturating_add(self.unlisted)
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems in reading order. Those beyond [`Self::MOST`] are one, the
    /// last, which counts them.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<Problem> {
        if self.unlisted > 0 {
            let reason = format!("has {} {UNLISTED}", self.unlisted);
            self.list.push(Problem::new("", Code::MoreProblems, reason));
        }
        self.list
    }
}

/// The first `most` problems in one line, and how many more there are.
#[must_use]
pub fn in_one_line(problems: &[Problem], most: usize) -> String {
    let (listed, counted) = match problems.split_last() {
        Some((last, listed)) if last.code == Code::MoreProblems => (listed, Some(last)),
        _ => (problems, None),
    };
    let shown = listed.iter().take(most).map(ToString::to_string);
    let mut line = shown.collect::<Vec<_>>().join("; ");
    let more = listed.len().saturating_sub(most);
    if more > 0 {
        line.push_str(&format!("; and {more} more problems"));
    }
    if let Some(counted) = counted {
        line.push_str(&format!("; {counted}"));
    }
    line
}

#[cfg(test)]
mod tests;
