//! `concurrency`: how many requests are in flight at once, and which are refused first when
//! there are too many.
//!
//! Classes are ours: Envoy Gateway has no limit on requests in flight by rule. A class has
//! permits of its own, a percentage of `max` that is rounded down to whole permits, but at
//! least one.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::regex::Regexes;
use crate::scalar::whole_percent;
use crate::spec::Selector;
use crate::spec::rule_name::read_name;

/// How many requests of a rule may be in flight at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Concurrency {
    /// The most, of all classes together.
    pub max: u32,
    /// In the order of their priority, at most [`MOST_CLASSES`].
    pub classes: Vec<Class>,
}

/// Requests that have a part of the places to themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name in metrics.
    pub name: String,
    /// Which requests belong to it, unless they belong to an earlier one; none: all.
    pub selector: Selector,
    /// So many places are kept for it.
    pub reserved: u32,
}

/// The most classes of a rule.
pub const MOST_CLASSES: usize = 8;

impl Concurrency {
    pub(super) fn read(at: Cursor<'_>, regexes: &Regexes, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::CONCURRENCY, problems)?;
        let max = object
            .required("max", problems)
            .and_then(|at| u32::try_from(at.integer(1..=i64::from(u32::MAX), problems)?).ok());
        let classes = object.or_default("classes", problems, |at, problems| {
            read_classes(at, regexes, problems)
        });
        let (max, classes) = (max?, classes?);
        let classes: Vec<Class> = classes
            .into_iter()
            .map(|(class, percent)| Class {
                reserved: places(max, percent),
                ..class
            })
            .collect();
        let reserved: u64 = classes.iter().map(|class| u64::from(class.reserved)).sum();
        if let (true, Some(at)) = (reserved > u64::from(max), object.get("classes")) {
            let reason = format!(
                "must not reserve more than max: {reserved} of {max} places, as a class with a \
                 share has at least one"
            );
            at.refuse(problems, Code::ReservesTooLarge, reason);
        }
        Some(Self { max, classes })
    }
}

/// The classes, with their percentages.
fn read_classes(
    at: Cursor<'_>,
    regexes: &Regexes,
    problems: &mut Problems,
) -> Option<Vec<(Class, u8)>> {
    let mut names: Vec<(String, usize)> = Vec::new();
    let mut read = 0;
    let count = at.items().len();
    at.list(1..=MOST_CLASSES, problems, |at, problems| {
        read += 1;
        let (class, percent) = read_class(at, read == count, regexes, problems)?;
        // The list is refused: its names are not compared.
        if read > MOST_CLASSES {
            return None;
        }
        if let Some((_, first)) = names.iter().find(|(name, _)| *name == class.name) {
            let reason = format!("must have its own name: classes[{first}] has the same name");
            at.refuse(problems, Code::NameTaken, reason);
        }
        names.push((class.name.clone(), read - 1));
        Some((class, percent))
    })
}

fn read_class(
    at: Cursor<'_>,
    is_last: bool,
    regexes: &Regexes,
    problems: &mut Problems,
) -> Option<(Class, u8)> {
    let object = at.object_of(&super::schema::CLASS, problems)?;
    let name = object.required("name", problems);
    let name = name.and_then(|at| read_name(at, problems));
    let selector = object.optional("clientSelectors", problems, |at, problems| {
        let selector = Selector::read_all(at, regexes, problems)?;
        if selector.is_distinct() {
            at.refuse(
                problems,
                Code::DistinctCondition,
                "must not have type Distinct: a class counts all its requests together",
            );
        }
        Some(selector)
    });
    let reserved = object.or_default("reserved", problems, read_percent);
    let selector = selector?.unwrap_or_default();
    if selector.is_empty() && !is_last {
        at.refuse(
            problems,
            Code::MissingField,
            "must have clientSelectors: only the last class may leave them out",
        );
    }
    let class = Class {
        name: name?.to_owned(),
        selector,
        reserved: 0,
    };
    Some((class, reserved?))
}

fn read_percent(at: Cursor<'_>, problems: &mut Problems) -> Option<u8> {
    let percent = whole_percent(at.string(problems)?);
    if percent.is_none() {
        at.refuse(
            problems,
            Code::MalformedPercentage,
            "must be a whole percentage of max, from 0% to 100%, such as 20%",
        );
    }
    percent
}

/// The places of a class with such a share.
fn places(max: u32, percent: u8) -> u32 {
    let places = u64::from(max).saturating_mul(percent.into()) / 100;
    let least = u64::from(percent > 0);
    u32::try_from(places.max(least)).unwrap_or(max)
}

#[cfg(test)]
mod tests;
