//! Buckets of different keys in one cell, which has a bounded number of slots.
//!
//! A bucket without debt is as good as new, so its slot goes to whoever needs
//! one: nothing is forgotten by that. A bucket with debt is never evicted;
//! when all slots are in debt there is no room.
//!
//! In a set of the table of `Distinct` values, who finds no room takes from
//! cells that others use, too ([`super::overflow`]), and the set is marked with
//! the time until which that may matter. Until then who finds a slot begins
//! with the debt that stands in its cells. So that this holds whatever gets in
//! between, a mark has a number that changes with each client it is set for:
//! it says whether the cells were read before or after.

use super::gcra::{Admitted, Denied, Fixed, Gcra};
use crate::host::shared_state::{Bucket, Buckets, SetMark, Update};

/// The key of a bucket among others; never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// A bucket's answer to a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Admitted(Admitted),
    Denied(Denied),
    /// There is no slot for this bucket.
    NoRoom,
    /// There is a slot, and maybe a debt elsewhere: ask again with that.
    Inherits(Mark),
}

/// Says when a set was marked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u32);

/// What a bucket begins with that gets a slot in a marked set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inheritance {
    /// The set's mark before the debt was read.
    pub(crate) mark: Mark,
    /// When the bucket is full again.
    pub(crate) full_at: Fixed,
}

impl Key {
    /// The bucket of routes that find no slot.
    pub(crate) const OVERFLOW: Self = Self(u64::MAX);

    /// The key made from a hash.
    pub(crate) fn new(hash: u64) -> Self {
        match hash {
            0 | u64::MAX => Self(1),
            hash => Self(hash),
        }
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

/// Takes tokens from the bucket `key`, `least` to `most` of them. There are at
/// most `most_slots` buckets.
pub(crate) fn take(
    cell: &mut Buckets,
    most_slots: usize,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    amount: (u64, u64),
) -> Update<Decision> {
    let Survey { found, idle } = survey(cell, key, now_ns);
    let before = full_at(cell, found);
    let slot = found.or(idle).or_else(|| free(cell, most_slots));
    take_at(cell, slot, before, key, bucket, now_ns, amount)
}

/// The same in a set, which may be marked.
pub(crate) fn take_in_set(
    cell: &mut Buckets,
    most_slots: usize,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    amount: (u64, u64),
    inherited: Option<Inheritance>,
) -> Update<Decision> {
    let Survey { found, idle } = survey(cell, key, now_ns);
    let mut before = full_at(cell, found);
    let slot = found.or(idle).or_else(|| free(cell, most_slots));
    if slot.is_none() {
        return Update::Keep(Decision::NoRoom);
    }
    if found.is_none()
        && let Some(mark) = cell.mark.filter(|mark| mark.until_ns > now_ns)
    {
        let mark = Mark(mark.number);
        let Some(inherited) = inherited.filter(|it| it.mark == mark) else {
            return Update::Keep(Decision::Inherits(mark));
        };
        before = inherited.full_at;
    }
    take_at(cell, slot, before, key, bucket, now_ns, amount)
}

/// Marks a set: somebody who has found no slot has tokens from elsewhere, and
/// debt there until this time. `false`: the bucket `key` has a slot after all.
pub(crate) fn mark(cell: &mut Buckets, key: Key, until: Fixed) -> Update<bool> {
    if find(cell, key).is_some() {
        return Update::Keep(false);
    }
    let known = cell.mark.unwrap_or_default();
    cell.mark = Some(SetMark {
        until_ns: until.ceil_ns().max(known.until_ns),
        number: known.number.wrapping_add(1),
    });
    Update::Write(true)
}

/// Puts tokens back; says whether the bucket was there.
pub(crate) fn give_back(cell: &mut Buckets, key: Key, bucket: Gcra, tokens: u64) -> bool {
    let Some(slot) = find(cell, key) else {
        return false;
    };
    let full_at = bucket.give_back(full_at(cell, Some(slot)), tokens);
    write(cell, slot, key, full_at, bucket);
    true
}

/// When the bucket `key` is full again, if it is known.
pub(crate) fn peek(cell: &Buckets, key: Key) -> Option<Fixed> {
    find(cell, key).map(|slot| full_at(cell, Some(slot)))
}

/// Takes from the bucket in a slot, if there is one; one slot behind the last is
/// new.
fn take_at(
    cell: &mut Buckets,
    slot: Option<usize>,
    before: Fixed,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    (least, most): (u64, u64),
) -> Update<Decision> {
    match (bucket.take(before, now_ns, least, most), slot) {
        (Ok(_), None) => Update::Keep(Decision::NoRoom),
        (Ok(admitted), Some(slot)) => {
            write(cell, slot, key, admitted.full_at, bucket);
            Update::Write(Decision::Admitted(admitted))
        }
        // The limit was changed: the debt is cut to what it can be now.
        (Err(denied), Some(slot)) if denied.full_at < before && is_of(cell, slot, key) => {
            write(cell, slot, key, denied.full_at, bucket);
            Update::Write(Decision::Denied(denied))
        }
        (Err(denied), _) => Update::Keep(Decision::Denied(denied)),
    }
}

/// What there is for a key, in one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    /// The bucket's own slot.
    found: Option<usize>,
    /// A slot without debt. The overflow bucket keeps its own.
    idle: Option<usize>,
}

fn survey(cell: &Buckets, key: Key, now_ns: u64) -> Survey {
    let mut survey = Survey::default();
    for (slot, bucket) in cell.buckets.iter().enumerate() {
        if bucket.key == key.0 {
            survey.found = Some(slot);
            return survey;
        }
        let is_full = (bucket.full_at_ns, bucket.full_at_fraction) <= (now_ns, 0);
        if survey.idle.is_none() && is_full && bucket.key != Key::OVERFLOW.0 {
            survey.idle = Some(slot);
        }
    }
    survey
}

/// The slot behind the last, if there may be one more.
fn free(cell: &Buckets, most_slots: usize) -> Option<usize> {
    let slots = cell.buckets.len();
    (slots < most_slots).then_some(slots)
}

fn find(cell: &Buckets, key: Key) -> Option<usize> {
    cell.buckets.iter().position(|bucket| bucket.key == key.0)
}

fn is_of(cell: &Buckets, slot: usize, key: Key) -> bool {
    let bucket = cell.buckets.get(slot);
    bucket.is_some_and(|bucket| bucket.key == key.0)
}

fn full_at(cell: &Buckets, slot: Option<usize>) -> Fixed {
    let bucket = slot.and_then(|slot| cell.buckets.get(slot));
    bucket.map_or(Fixed::default(), |bucket| {
        Fixed::from_parts(bucket.full_at_ns, bucket.full_at_fraction)
    })
}

fn write(cell: &mut Buckets, slot: usize, key: Key, full_at: Fixed, bucket: Gcra) {
    let (full_at_ns, full_at_fraction) = full_at.parts();
    let written = Bucket {
        key: key.0,
        full_at_ns,
        full_at_fraction,
        rate: Some(bucket.rate()),
    };
    match cell.buckets.get_mut(slot) {
        Some(known) => *known = written,
        None => cell.buckets.push(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;

    fn one(cell: &mut Buckets, key: u64, now: u64) -> Decision {
        let bucket = Gcra::new(1, SECOND, 1);
        match take(cell, 4, Key::new(key), bucket, now, (1, 1)) {
            Update::Keep(answer) | Update::Write(answer) => answer,
        }
    }

    #[test]
    fn debtors_stay_and_the_idle_make_room() {
        let mut cell = Buckets::default();
        for key in 10..14 {
            assert!(matches!(one(&mut cell, key, key), Decision::Admitted(_)));
        }
        assert_eq!(cell.buckets.len(), 4);
        assert_eq!(one(&mut cell, 99, 20), Decision::NoRoom);
        for key in 10..14 {
            assert!(matches!(one(&mut cell, key, 20), Decision::Denied(_)));
        }
        // The first is full again, the others are not.
        assert!(matches!(
            one(&mut cell, 99, SECOND + 10),
            Decision::Admitted(_)
        ));
        assert_eq!(peek(&cell, Key::new(10)), None);
        assert_eq!(one(&mut cell, 98, SECOND + 10), Decision::NoRoom);
        assert_eq!(cell.buckets.len(), 4);
    }

    #[test]
    fn the_overflow_bucket_is_not_evicted() {
        let mut cell = Buckets::default();
        let bucket = Gcra::new(1, SECOND, 1);
        let _ = take(&mut cell, 1, Key::OVERFLOW, bucket, 0, (1, 1));
        assert_eq!(
            take(&mut cell, 1, Key::new(5), bucket, 9 * SECOND, (1, 1)),
            Update::Keep(Decision::NoRoom)
        );
    }

    #[test]
    fn tokens_are_given_back_to_whom_they_belong() {
        let mut cell = Buckets::default();
        let _ = one(&mut cell, 7, 0);
        let bucket = Gcra::new(1, SECOND, 1);
        assert!(!give_back(&mut cell, Key::new(8), bucket, 1));
        assert!(give_back(&mut cell, Key::new(7), bucket, 1));
        assert!(matches!(one(&mut cell, 7, 0), Decision::Admitted(_)));
    }

    #[test]
    fn a_bucket_says_under_which_rate_it_was_written() {
        let mut cell = Buckets::default();
        let (slow, fast) = (Gcra::new(1, SECOND, 2), Gcra::new(9, SECOND, 9));
        let rates = |cell: &Buckets| -> Vec<_> { cell.buckets.iter().map(|it| it.rate).collect() };
        let _ = take(&mut cell, 4, Key::new(5), slow, 0, (1, 1));
        let _ = take(&mut cell, 4, Key::new(6), fast, 0, (1, 1));
        assert_eq!(rates(&cell), [Some(slow.rate()), Some(fast.rate())]);
        let _ = take(&mut cell, 4, Key::new(5), fast, SECOND, (1, 1));
        assert!(give_back(&mut cell, Key::new(6), slow, 1));
        assert_eq!(rates(&cell), [Some(fast.rate()), Some(slow.rate())]);
    }
}
