//! Buckets of different keys in one cell, which has a bounded number of slots.
//!
//! A bucket without debt equals a new one, so its slot is free for another key: nothing is
//! forgotten by that. A bucket with debt is never evicted; when all slots are in debt,
//! there is no room.
//!
//! A slot records the limit under which its debt was written. Under another limit the same
//! number of tokens is missing. Two configurations may serve at the same time, as when a
//! listener drains. Together they admit no more than the larger rate and the larger burst.
//! No debt is cut to the maximum of the smaller limit, which would forgive it under the
//! larger one. Where the smaller one has nothing left, the key gets a second slot for it.
//! Then tokens are taken from both slots, and the one that is no longer used becomes full.
//!
//! In a set of the table of `Distinct` values, a client without a slot uses counters that
//! it shares with others ([`super::overflow`]). The set is marked with the time until which
//! that may matter. Until then, a client that gets a slot begins with the debt in its
//! counters. A mark has a number that changes with each client it is set for. It tells
//! whether the counters were read before or after, so races cannot hide a debt.

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
    let survey = Survey::of(cell, most_slots, key, bucket, now_ns);
    take_at(cell, survey, key, bucket, now_ns, amount)
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
    let mut survey = Survey::of(cell, most_slots, key, bucket, now_ns);
    if !survey.is_known() {
        if survey.vacant.is_none() {
            return Update::Keep(Decision::NoRoom);
        }
        if let Some(mark) = cell.mark.filter(|mark| mark.until_ns > now_ns) {
            let mark = Mark(mark.number);
            let Some(inherited) = inherited.filter(|it| it.mark == mark) else {
                return Update::Keep(Decision::Inherits(mark));
            };
            survey.full_at = inherited.full_at;
        }
    }
    take_at(cell, survey, key, bucket, now_ns, amount)
}

/// Marks a set: somebody who has found no slot has tokens from elsewhere, and
/// debt there until this time. `false`: the bucket `key` has a slot after all.
pub(crate) fn mark(cell: &mut Buckets, key: Key, until: Fixed) -> Update<bool> {
    if slots_of(cell, key).next().is_some() {
        return Update::Keep(false);
    }
    let known = cell.mark.unwrap_or_default();
    cell.mark = Some(SetMark {
        until_ns: until.ceil_ns().max(known.until_ns),
        number: known.number.wrapping_add(1),
    });
    Update::Write(true)
}

/// Puts tokens back, whatever the limit is that each slot was written under; says
/// whether the bucket was there. `bucket`: its limit where that is not known.
pub(crate) fn give_back(cell: &mut Buckets, key: Key, bucket: Gcra, tokens: u64) -> bool {
    let mut is_there = false;
    for slot in slots_of(cell, key) {
        let written = limit_of(slot).unwrap_or(bucket);
        set(slot, written.give_back(full_at(slot), tokens));
        is_there = true;
    }
    is_there
}

/// When the bucket `key` is full again, if it is known.
pub(crate) fn peek(cell: &mut Buckets, key: Key, bucket: Gcra, now_ns: u64) -> Option<Fixed> {
    let survey = Survey::of(cell, 0, key, bucket, now_ns);
    survey.is_known().then_some(survey.full_at)
}

/// What there is for a key under a limit, in one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    /// The bucket's slot under this limit.
    own: Option<usize>,
    /// The one of another limit under which the most tokens are missing.
    other: Option<usize>,
    /// A slot for who has none: one without debt, or one more behind the last.
    vacant: Option<usize>,
    /// When the bucket is full again.
    full_at: Fixed,
    /// Under another limit more tokens are missing than this one has.
    is_cut: bool,
}

impl Survey {
    fn of(cell: &Buckets, most_slots: usize, key: Key, bucket: Gcra, now_ns: u64) -> Self {
        let mut survey = Self::default();
        for (place, slot) in cell.buckets.iter().enumerate() {
            if slot.key == key.0 {
                survey.add(place, slot, bucket, now_ns);
            } else if survey.vacant.is_none()
                && (slot.full_at_ns, slot.full_at_fraction) <= (now_ns, 0)
                // The overflow bucket keeps its own.
                && slot.key != Key::OVERFLOW.0
            {
                survey.vacant = Some(place);
            }
        }
        let last = cell.buckets.len();
        let free = (last < most_slots).then_some(last);
        survey.vacant = survey.vacant.or(free);
        if survey.own.is_none() {
            let most = bucket.empty(now_ns);
            survey.is_cut = survey.full_at > most;
            survey.full_at = survey.full_at.min(most);
        }
        survey
    }

    /// Adds a slot of the key.
    fn add(&mut self, place: usize, slot: &Bucket, bucket: Gcra, now_ns: u64) {
        if slot.rate == Some(bucket.rate()) {
            self.own = Some(place);
            self.full_at = full_at(slot);
        } else if self.own.is_none() {
            let written = limit_of(slot).unwrap_or(bucket);
            let same = bucket.as_full_as(written, full_at(slot), now_ns);
            if self.other.is_none() || same > self.full_at {
                self.other = Some(place);
                self.full_at = same;
            }
        }
    }

    fn is_known(&self) -> bool {
        self.own.or(self.other).is_some()
    }

    /// The slot for a debt that was cut: beside the one that was not cut. A slot without a
    /// limit was written by an earlier version of the filter, and is replaced.
    fn place_of_cut(&self, cell: &Buckets) -> Option<usize> {
        let other = self.other.filter(|place| {
            let slot = cell.buckets.get(*place);
            slot.is_some_and(|slot| slot.rate.is_none())
        });
        other.or(self.vacant)
    }
}

/// Takes from a bucket, if there is a slot for it.
fn take_at(
    cell: &mut Buckets,
    survey: Survey,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    (least, most): (u64, u64),
) -> Update<Decision> {
    match bucket.take(survey.full_at, now_ns, least, most) {
        Ok(admitted) => {
            let Some(place) = survey.own.or(survey.other).or(survey.vacant) else {
                return Update::Keep(Decision::NoRoom);
            };
            let others = cell.buckets.iter_mut().enumerate();
            for (_, slot) in others.filter(|(at, slot)| slot.key == key.0 && *at != place) {
                let written = limit_of(slot).unwrap_or(bucket);
                let full_at = written.charge(full_at(slot), admitted.tokens, now_ns);
                set(slot, full_at);
            }
            write(cell, place, key, admitted.full_at, bucket);
            Update::Write(Decision::Admitted(admitted))
        }
        // From now on the tokens that this limit has come back, and no longer those of
        // the other. Without a slot they do so once the other has as few to come.
        Err(denied) if survey.is_cut => match survey.place_of_cut(cell) {
            Some(place) => {
                write(cell, place, key, survey.full_at, bucket);
                Update::Write(Decision::Denied(denied))
            }
            None => Update::Keep(Decision::Denied(denied)),
        },
        Err(denied) => Update::Keep(Decision::Denied(denied)),
    }
}

/// The slots of a key: one for each limit that is in use.
fn slots_of(cell: &mut Buckets, key: Key) -> impl Iterator<Item = &mut Bucket> {
    cell.buckets
        .iter_mut()
        .filter(move |slot| slot.key == key.0)
}

/// The limit that a slot was written under, if it says so.
fn limit_of(slot: &Bucket) -> Option<Gcra> {
    slot.rate.map(Gcra::of_rate)
}

fn full_at(slot: &Bucket) -> Fixed {
    Fixed::from_parts(slot.full_at_ns, slot.full_at_fraction)
}

fn set(slot: &mut Bucket, full_at: Fixed) {
    (slot.full_at_ns, slot.full_at_fraction) = full_at.parts();
}

fn write(cell: &mut Buckets, place: usize, key: Key, full_at: Fixed, bucket: Gcra) {
    let (full_at_ns, full_at_fraction) = full_at.parts();
    let written = Bucket {
        key: key.0,
        full_at_ns,
        full_at_fraction,
        rate: Some(bucket.rate()),
    };
    match cell.buckets.get_mut(place) {
        Some(known) => *known = written,
        None => cell.buckets.push(written),
    }
}

#[cfg(test)]
mod tests;
