//! Names from Envoy, Istio, older releases and other gateways, with their equivalents here:
//! the most frequent mistakes, and those that a similar name would not find.
//!
//! The command line tool has all of them, more than 10 KiB. The filter, whose input the
//! tool has usually checked, has the most frequent ones.
//!
//! Tests compare the tables with the schema: each place exists, each mistaken name does
//! not, and each suggested field does.

#[cfg(feature = "schema")]
mod filter;
mod frequent;
#[cfg(feature = "schema")]
mod native;

use crate::node::Value;
use crate::path::Path;

/// What is meant by a word.
#[derive(Clone, Copy, Debug)]
enum Here {
    /// A field, from where the word stands or from `spec`; or a value.
    Is(&'static str),
    /// Something else, which this says.
    Says(&'static str),
}

/// Words by the place where they are written.
///
/// A place is given from `spec` on: `retry.perRetry`, `targetRefs[]` for any item
/// of a list, `rateLimit.*` for any field; what begins with `**` is anywhere.
type Words = &'static [(&'static str, &'static [(&'static str, Here)])];

/// Fields by the place of their object, which are meant where a bare value stands
/// instead of it.
type Bare = &'static [(&'static str, &'static str)];

#[cfg(feature = "schema")]
const FIELDS: [Words; 3] = [frequent::FIELDS, filter::FIELDS, native::FIELDS];
#[cfg(feature = "schema")]
const VALUES: [Words; 2] = [filter::VALUES, native::VALUES];
#[cfg(feature = "schema")]
const BARE: [Bare; 2] = [filter::BARE, native::BARE];

#[cfg(not(feature = "schema"))]
const FIELDS: [Words; 1] = [frequent::FIELDS];
#[cfg(not(feature = "schema"))]
const VALUES: [Words; 0] = [];
#[cfg(not(feature = "schema"))]
const BARE: [Bare; 0] = [];

/// What to write instead of the field `word` in the object at `path`.
pub(super) fn field(path: &Path<'_>, word: &str) -> Option<String> {
    find(&FIELDS, path, word)
}

/// What to write instead of the value `word` at `path`.
pub(super) fn value(path: &Path<'_>, word: &str) -> Option<String> {
    find(&VALUES, path, word)
}

/// The field of the object at `path` that a bare value there stands for.
pub(super) fn bare(path: &Path<'_>) -> Option<&'static str> {
    let mut rows = BARE.iter().copied().flatten();
    let found = rows.find(|(place, _)| is_at(path, place));
    found.map(|(_, field)| *field)
}

/// Whether the value is neither a list nor an object.
pub(super) fn is_bare(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::List(_) | Value::Map(_))
}

fn find(tables: &[Words], path: &Path<'_>, word: &str) -> Option<String> {
    let mut groups = tables.iter().copied().flatten();
    groups.find_map(|(place, words)| {
        let (_, here) = words.iter().find(|(other, _)| is_same(other, word))?;
        is_at(path, place).then(|| match here {
            Here::Is(name) => format!("it is {name} here"),
            Here::Says(advice) => (*advice).to_owned(),
        })
    })
}

/// Whether two words are one in camel case, snake case or capitals.
fn is_same(left: &str, right: &str) -> bool {
    fn letters(word: &str) -> impl Iterator<Item = u8> {
        let letters = word.bytes().filter(|byte| !b"_- ".contains(byte));
        letters.map(|byte| byte.to_ascii_lowercase())
    }
    letters(left).eq(letters(right))
}

/// Whether `path` leads to `place`. A document may begin at its `spec`.
fn is_at(path: &Path<'_>, place: &str) -> bool {
    let mut path = *path;
    for step in place.rsplit('.').filter(|step| !step.is_empty()) {
        if step == "**" {
            return true;
        }
        let name = match step.strip_suffix("[]") {
            Some(name) => {
                let Path::Item(list, _) = path else {
                    return false;
                };
                path = *list;
                name
            }
            None => step,
        };
        let Path::Field(parent, field) = path else {
            return false;
        };
        if name != "*" && name != field {
            return false;
        }
        path = *parent;
    }
    match path {
        Path::Field(_, field) => field == "spec",
        Path::Root => !place.is_empty(),
        Path::Item(..) => false,
    }
}

#[cfg(test)]
mod tests;
