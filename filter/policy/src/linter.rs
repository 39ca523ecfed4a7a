//! Building blocks of advice: a valid `spec`, whose fields are found by name, and a list of
//! warnings.

use crate::code::Code;
use crate::node::{Mark, Node, Value};
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::Duration;

/// A `spec`, and the advice on it.
pub(crate) struct Linter<'a, 'b> {
    pub(crate) spec: Cursor<'a>,
    pub(crate) warnings: &'b mut Problems,
}

impl Linter<'_, '_> {
    pub(crate) fn get(&self, path: &[&str]) -> Option<&Node> {
        path.iter()
            .try_fold(self.spec.node, |node, name| node.field(name))
    }

    pub(crate) fn duration(&self, path: &[&str]) -> Option<Duration> {
        Duration::parse(self.get(path)?.as_str()?)
    }

    pub(crate) fn text(&self, path: &[&str]) -> &str {
        self.get(path).and_then(Node::as_str).unwrap_or("")
    }

    pub(crate) fn items(&self, path: &[&str]) -> &[Node] {
        match self.get(path).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// Warns about the value at `path`.
    pub(crate) fn warn(&mut self, path: &[&str], code: Code, advice: impl Into<String>) {
        let mark = self.get(path).unwrap_or(self.spec.node).mark;
        warn_at(
            &self.spec.path,
            path,
            mark,
            (code, &advice.into()),
            self.warnings,
        );
    }
}

fn warn_at(
    path: &Path<'_>,
    below: &[&str],
    mark: Mark,
    said: (Code, &str),
    warnings: &mut Problems,
) {
    match below {
        [] => warnings.note(path, mark, said.0, said.1),
        [name, rest @ ..] => warn_at(&Path::Field(path, name), rest, mark, said, warnings),
    }
}
