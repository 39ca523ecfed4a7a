//! The names of the cells that workers share, by kind and number.
//!
//! A table of clients consists of up to 32,768 cells, and each `Distinct` rule has up to
//! 10,923 of its own. Their names differ in one number, so they are computed when they are
//! needed: stored, they would take megabytes.

use std::borrow::Cow;

/// What is in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// The key of all hashes.
    Seed,
    /// Buckets of a rule's routes.
    Buckets,
    /// A set of buckets of clients.
    SharedBuckets,
    /// Debts of clients that have no bucket.
    Overflow,
    /// Claims on one quota.
    Quota,
    /// Claims on several quotas.
    SharedQuota,
    /// The workers that live.
    Registry,
}

/// The names of a plan's cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellNames {
    seed: SharedNames,
    buckets: SharedNames,
    shared_buckets: SharedNames,
    overflow: SharedNames,
    quotas: SharedNames,
    shared_quotas: SharedNames,
    registry: SharedNames,
}

/// Names, numbered from 0 in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedNames {
    entries: Vec<Entry>,
    count: u32,
}

/// One name, or a series of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// The number of its first name.
    first: u32,
    /// The name; of a series what comes before the number.
    before: String,
    series: Option<Series>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Series {
    count: u32,
    /// What comes after the number.
    after: String,
}

impl CellNames {
    /// The names of one kind.
    #[must_use]
    pub fn of(&self, kind: CellKind) -> &SharedNames {
        match kind {
            CellKind::Seed => &self.seed,
            CellKind::Buckets => &self.buckets,
            CellKind::SharedBuckets => &self.shared_buckets,
            CellKind::Overflow => &self.overflow,
            CellKind::Quota => &self.quotas,
            CellKind::SharedQuota => &self.shared_quotas,
            CellKind::Registry => &self.registry,
        }
    }

    /// The same names, with what `ending` gives for their kind behind each.
    #[must_use]
    pub fn with_endings(mut self, ending: impl Fn(CellKind) -> String) -> Self {
        for kind in CellKind::ALL {
            self.of_mut(kind).end_in(&ending(kind));
        }
        self
    }

    pub(crate) fn of_mut(&mut self, kind: CellKind) -> &mut SharedNames {
        match kind {
            CellKind::Seed => &mut self.seed,
            CellKind::Buckets => &mut self.buckets,
            CellKind::SharedBuckets => &mut self.shared_buckets,
            CellKind::Overflow => &mut self.overflow,
            CellKind::Quota => &mut self.quotas,
            CellKind::SharedQuota => &mut self.shared_quotas,
            CellKind::Registry => &mut self.registry,
        }
    }
}

impl CellKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Seed,
        Self::Buckets,
        Self::SharedBuckets,
        Self::Overflow,
        Self::Quota,
        Self::SharedQuota,
        Self::Registry,
    ];
}

impl SharedNames {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The name with this number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<Cow<'_, str>> {
        let above = self.entries.partition_point(|entry| entry.first <= number);
        self.entries.get(above.checked_sub(1)?)?.name(number)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.entries.iter().flat_map(|entry| {
            let end = entry.first.saturating_add(entry.count());
            (entry.first..end).filter_map(|number| entry.name(number))
        })
    }

    /// Adds a name, and gives its number.
    pub(crate) fn add(&mut self, name: String) -> u32 {
        self.push(name, None)
    }

    /// Adds the names `before`, a number from 0, `after`; gives the number of
    /// the first.
    pub(crate) fn add_series(&mut self, before: String, count: u32, after: String) -> u32 {
        self.push(before, Some(Series { count, after }))
    }

    fn end_in(&mut self, ending: &str) {
        for entry in &mut self.entries {
            let last = match &mut entry.series {
                None => &mut entry.before,
                Some(series) => &mut series.after,
            };
            last.push_str(ending);
        }
    }

    fn push(&mut self, before: String, series: Option<Series>) -> u32 {
        let first = self.count;
        let entry = Entry {
            first,
            before,
            series,
        };
        self.count = first.saturating_add(entry.count());
        self.entries.push(entry);
        first
    }
}

impl Entry {
    fn count(&self) -> u32 {
        self.series.as_ref().map_or(1, |series| series.count)
    }

    fn name(&self, number: u32) -> Option<Cow<'_, str>> {
        let index = number.checked_sub(self.first)?;
        if index >= self.count() {
            return None;
        }
        let before = &self.before;
        Some(match &self.series {
            None => Cow::Borrowed(before),
            Some(Series { after, .. }) => Cow::Owned(format!("{before}{index}{after}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    proptest! {
        #[test]
        fn each_number_has_the_name_that_came_with_it(
            entries in prop::collection::vec(prop::option::of(0_u32..20), 0..12),
        ) {
            let (mut names, mut listed) = (SharedNames::default(), Vec::new());
            for (entry, count) in entries.into_iter().enumerate() {
                let first = match count {
                    None => names.add(format!("one.{entry}")),
                    Some(count) => names.add_series(format!("a.{entry}."), count, ".z".to_owned()),
                };
                prop_assert_eq!(first as usize, listed.len());
                match count {
                    None => listed.push(format!("one.{entry}")),
                    Some(count) => listed.extend((0..count).map(|it| format!("a.{entry}.{it}.z"))),
                }
            }
            prop_assert!(names.iter().eq(listed.iter().map(String::as_str)));
            prop_assert_eq!((names.len(), names.is_empty()), (listed.len(), listed.is_empty()));
            for (number, name) in (0..).zip(&listed) {
                prop_assert_eq!(names.get(number), Some(Cow::from(name)));
            }
            prop_assert_eq!(names.get(names.count), None);
            names.end_in(".9");
            let ended: Vec<String> = listed.iter().map(|name| format!("{name}.9")).collect();
            prop_assert!(names.iter().eq(ended));
        }
    }
}
