//! The few steps that every reader consists of: object, list, string, number.
//!
//! Each step returns the typed value, or records one problem and returns `None`. The caller
//! goes on reading, so that all problems are found at once.

mod mistaken;
mod suggest;
#[cfg(feature = "schema")]
mod wrong_kind;

use std::collections::BTreeSet;

use crate::code::Code;
use crate::node::{Entry, Mark, Node, Value};
use crate::path::Path;
use crate::problem::Problems;

pub use suggest::nearest;

/// A node together with the path that leads to it.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its path.
    pub path: Path<'a>,
}

/// An object whose keys are all known and unique.
#[derive(Debug)]
pub struct Object<'a> {
    at: Cursor<'a>,
    entries: &'a [Entry],
}

impl<'a> Cursor<'a> {
    /// The root of a document.
    #[must_use]
    pub fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: Path::Root,
        }
    }

    /// Notes `reason` as what is wrong with this value.
    pub fn refuse(&self, problems: &mut Problems, code: Code, reason: impl Into<String>) {
        problems.refuse(&self.path, self.node, code, reason);
    }

    /// An object with no other fields than `known`. Unknown and duplicate
    /// fields are noted; the rest can be read all the same.
    pub fn object(&self, known: &[&str], problems: &mut Problems) -> Option<Object<'a>> {
        if !matches!(self.node.value, Value::Map(_)) {
            let (kind, known) = (self.node.value.kind(), known.join(", "));
            let mut reason = format!("must be an object, not {kind}; its fields: {known}");
            if mistaken::is_bare(&self.node.value)
                && let Some(field) = mistaken::bare(&self.path)
            {
                reason.push_str(&format!("; write it as {field}"));
            }
            self.refuse(problems, Code::WrongType, reason);
            return None;
        }
        let object = self.open_object(problems)?;
        for entry in object.entries {
            if !known.contains(&entry.key.as_str()) {
                let path = Path::Field(&self.path, &entry.key);
                problems.note_unknown(&path, entry.mark, || self.unknown(&entry.key, known));
            }
        }
        Some(object)
    }

    /// An object whose keys are free, such as labels. Duplicates are noted.
    pub fn open_object(&self, problems: &mut Problems) -> Option<Object<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_kind("an object", problems);
            return None;
        };
        let mut keys = BTreeSet::new();
        for entry in entries {
            if !keys.insert(entry.key.as_str()) {
                let path = Path::Field(&self.path, &entry.key);
                problems.note(&path, entry.mark, Code::DuplicateField, "is given twice");
            }
        }
        Some(Object { at: *self, entries })
    }

    /// A list with `at_least..=at_most` items. Each item is read by `item`;
    /// the list is given even if some items were refused.
    pub fn list<T>(
        &self,
        size: std::ops::RangeInclusive<usize>,
        problems: &mut Problems,
        mut item: impl FnMut(Cursor<'_>, &mut Problems) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::List(nodes) = &self.node.value else {
            self.wrong_kind("a list", problems);
            return None;
        };
        if !size.contains(&nodes.len()) {
            let (least, most) = (size.start(), size.end());
            let reason = if *most == usize::MAX {
                format!("must have at least {least} item(s)")
            } else {
                format!("must have {least} to {most} items")
            };
            self.refuse(problems, Code::ListLength, reason);
        }
        let read = nodes.iter().enumerate().filter_map(|(index, node)| {
            let path = Path::Item(&self.path, index);
            item(Cursor { node, path }, problems)
        });
        Some(read.collect())
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &'a [Node] {
        match &self.node.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// A string.
    pub fn string(self, problems: &mut Problems) -> Option<&'a str> {
        if let Value::String(text) = &self.node.value {
            return Some(text);
        }
        self.wrong_kind("a string", problems);
        None
    }

    /// A string of `range` bytes.
    pub fn string_of(
        &self,
        range: std::ops::RangeInclusive<usize>,
        problems: &mut Problems,
    ) -> Option<&'a str> {
        let text = self.string(problems)?;
        if range.contains(&text.len()) {
            return Some(text);
        }
        let (least, most) = (range.start(), range.end());
        self.refuse(
            problems,
            Code::TextLength,
            format!("must be {least} to {most} bytes long"),
        );
        None
    }

    /// `true` or `false`.
    pub fn boolean(self, problems: &mut Problems) -> Option<bool> {
        if let Value::Bool(value) = self.node.value {
            return Some(value);
        }
        self.wrong_kind("true or false", problems);
        None
    }

    /// A whole number within `range`.
    pub fn integer(
        &self,
        range: std::ops::RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<i64> {
        let value = match self.node.value {
            Value::Int(value) => value,
            Value::Float(_) => {
                self.refuse(problems, Code::NotWhole, "must be a whole number");
                return None;
            }
            _ => {
                self.wrong_kind("a whole number", problems);
                return None;
            }
        };
        if range.contains(&value) {
            return Some(value);
        }
        let (least, most) = (range.start(), range.end());
        self.refuse(
            problems,
            Code::OutOfBounds,
            format!("must be between {least} and {most}"),
        );
        None
    }

    /// A number, whole or not.
    pub fn number(self, problems: &mut Problems) -> Option<f64> {
        match self.node.value {
            #[expect(
                clippy::cast_precision_loss,
                reason = "ranges are checked by the caller"
            )]
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => {
                self.wrong_kind("a number", problems);
                None
            }
        }
    }

    /// One of the named choices.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let text = self.string(problems)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        if let [(only, _)] = choices {
            self.refuse(problems, Code::WrongConstant, format!("must be {only}"));
            return None;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.wrong_choice(text, &names, problems);
        None
    }

    /// Apart from `choice`, of which there is one for each type.
    fn wrong_choice(&self, text: &str, names: &[&str], problems: &mut Problems) {
        let mut reason = format!("must be one of {}", names.join(", "));
        if let Some(advice) = mistaken::value(&self.path, text) {
            reason.push_str(&format!("; {advice}"));
        } else if let Some(name) = nearest(text, names) {
            reason.push_str(&format!("; did you mean {name:?}?"));
        }
        self.refuse(problems, Code::UnknownChoice, reason);
    }

    /// What is said of a field that is not known in this object.
    fn unknown(&self, field: &str, known: &[&str]) -> String {
        if let Some(advice) = mistaken::field(&self.path, field) {
            return format!("is not a known field: {advice}");
        }
        match nearest(field, known) {
            Some(name) => format!("is not a known field; did you mean {name:?}?"),
            None => format!("is not a known field; known here: {}", known.join(", ")),
        }
    }

    fn wrong_kind(&self, wanted: &str, problems: &mut Problems) {
        let kind = self.node.value.kind();
        let reason = format!("must be {wanted}, not {kind}");
        #[cfg(feature = "schema")]
        let reason = wrong_kind::with_advice(reason, wanted, &self.node.value);
        self.refuse(problems, Code::WrongType, reason);
    }
}

impl<'a> Object<'a> {
    /// The field `name`, unless it is absent or null.
    #[must_use]
    pub fn get<'b>(&'b self, name: &'b str) -> Option<Cursor<'b>> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        if entry.node.value == Value::Null {
            return None;
        }
        Some(Cursor {
            node: &entry.node,
            path: Path::Field(&self.at.path, name),
        })
    }

    /// The field `name`; its absence is noted.
    pub fn required<'b>(&'b self, name: &'b str, problems: &mut Problems) -> Option<Cursor<'b>> {
        let found = self.get(name);
        if found.is_none() {
            let path = Path::Field(&self.at.path, name);
            problems.note(&path, self.at.node.mark, Code::MissingField, "is required");
        }
        found
    }

    /// The value of an optional field. `Some(None)`: the field is absent or null. `None`:
    /// it is there, but `read` has noted a problem and given no value.
    ///
    /// `flatten()` makes the two one, for readers that go on as if a wrong field were
    /// absent.
    pub fn optional<'b, T>(
        &'b self,
        name: &'b str,
        problems: &mut Problems,
        read: impl FnOnce(Cursor<'b>, &mut Problems) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.get(name) {
            Some(at) => read(at, problems).map(Some),
            None => Some(None),
        }
    }

    /// The value of an optional field, or `default` if the field is absent or null.
    /// `None`: it is there, but `read` has noted a problem and given no value.
    pub fn or<'b, T>(
        &'b self,
        name: &'b str,
        default: T,
        problems: &mut Problems,
        read: impl FnOnce(Cursor<'b>, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        match self.get(name) {
            Some(at) => read(at, problems),
            None => Some(default),
        }
    }

    /// The same with the default of the type, such as `false` or an empty list.
    pub fn or_default<'b, T: Default>(
        &'b self,
        name: &'b str,
        problems: &mut Problems,
        read: impl FnOnce(Cursor<'b>, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        self.or(name, T::default(), problems, read)
    }

    /// Whether the field is there and not null.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Keys in document order, with their places.
    pub fn keys(&self) -> impl Iterator<Item = (&'a str, Mark)> + use<'a> {
        let entries = self.entries;
        entries.iter().map(|entry| (entry.key.as_str(), entry.mark))
    }

    /// The fields in document order, but for those that are null.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Cursor<'_>)> {
        let there = self
            .entries
            .iter()
            .filter(|it| it.node.value != Value::Null);
        there.map(|entry| {
            let path = Path::Field(&self.at.path, &entry.key);
            let node = &entry.node;
            (entry.key.as_str(), Cursor { node, path })
        })
    }

    /// The object itself, for problems that concern several of its fields.
    #[must_use]
    pub fn at(&self) -> Cursor<'a> {
        self.at
    }
}

#[cfg(test)]
mod tests;
