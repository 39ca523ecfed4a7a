//! Buckets in a block of bytes: a table of (key, when it is full again).
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
use crate::host::values::Step;

/// The key of a bucket in its block; never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// What came of asking a bucket for tokens.
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

/// Bytes of a slot: the key, whole nanoseconds and their fraction, all in
/// little-endian order.
pub(crate) const SLOT: usize = 20;

impl Key {
    /// The bucket of routes that find no slot; in a set, its mark.
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

/// Takes tokens from the bucket `key`, `least` to `most` of them. The block
/// grows up to `most_slots`. The step says whether it has changed.
pub(crate) fn take(
    block: &mut Vec<u8>,
    most_slots: usize,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    amount: (u64, u64),
) -> Step<Decision> {
    let found = find(block, key);
    let before = found.map_or(Fixed::default(), |place| full_at(block, place));
    let place = found
        .or_else(|| idle(block, now_ns))
        .or_else(|| grow(block, most_slots));
    take_at(block, place, before, key, bucket, now_ns, amount)
}

/// The same in a set of `most_slots`, which may have a mark beside them.
pub(crate) fn take_in_set(
    block: &mut Vec<u8>,
    most_slots: usize,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    amount: (u64, u64),
    inherited: Option<Inheritance>,
) -> Step<Decision> {
    let Survey { found, mark, idle } = survey(block, key, now_ns);
    let most_slots = most_slots + usize::from(mark.is_some());
    if let Some(found) = found {
        let before = full_at(block, found);
        return take_at(block, Some(found), before, key, bucket, now_ns, amount);
    }
    let mut before = Fixed::default();
    if idle.is_none() && block.len() / SLOT >= most_slots {
        return Step::Keep(Decision::NoRoom);
    }
    if let Some(mark) = mark.filter(|it| full_at(block, *it) > Fixed::from_ns(now_ns)) {
        let mark = mark_at(block, mark);
        let Some(inherited) = inherited.filter(|it| it.mark == mark) else {
            return Step::Keep(Decision::Inherits(mark));
        };
        before = inherited.full_at;
    }
    let place = idle.or_else(|| grow(block, most_slots));
    take_at(block, place, before, key, bucket, now_ns, amount)
}

/// Marks a set: somebody who has found no slot has tokens from elsewhere, and
/// debt there until this time. `false`: the bucket `key` has a slot after all.
pub(crate) fn mark(block: &mut Vec<u8>, key: Key, until: Fixed) -> Step<bool> {
    if find(block, key).is_some() {
        return Step::Keep(false);
    }
    let known = find(block, Key::OVERFLOW);
    let place = known.unwrap_or_else(|| {
        let place = block.len() / SLOT;
        block.resize((place + 1) * SLOT, 0);
        place
    });
    let Mark(number) = mark_at(block, place);
    let (whole, _) = full_at(block, place).parts();
    let until = Fixed::from_parts(until.ceil_ns().max(whole), number.wrapping_add(1));
    write(block, place, Key::OVERFLOW, until);
    Step::Write(true)
}

/// A mark's time is in whole nanoseconds; what is behind the point is its
/// number.
fn mark_at(block: &[u8], place: usize) -> Mark {
    let (_, number) = full_at(block, place).parts();
    Mark(number)
}

/// Takes from the bucket at `place`, if there is one.
fn take_at(
    block: &mut [u8],
    place: Option<usize>,
    before: Fixed,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    (least, most): (u64, u64),
) -> Step<Decision> {
    match (bucket.take(before, now_ns, least, most), place) {
        (Ok(_), None) => Step::Keep(Decision::NoRoom),
        (Ok(admitted), Some(place)) => {
            write(block, place, key, admitted.full_at);
            Step::Write(Decision::Admitted(admitted))
        }
        // The limit was changed: the debt is cut to what it can be now.
        (Err(denied), Some(place)) if denied.full_at < before && is_of(block, place, key) => {
            write(block, place, key, denied.full_at);
            Step::Write(Decision::Denied(denied))
        }
        (Err(denied), _) => Step::Keep(Decision::Denied(denied)),
    }
}

/// Puts tokens back; says whether the bucket was there.
pub(crate) fn give_back(block: &mut [u8], key: Key, bucket: Gcra, tokens: u64) -> bool {
    let Some(place) = find(block, key) else {
        return false;
    };
    let full_at = bucket.give_back(full_at(block, place), tokens);
    write(block, place, key, full_at);
    true
}

/// When the bucket `key` is full again, if it is known.
pub(crate) fn peek(block: &[u8], key: Key) -> Option<Fixed> {
    find(block, key).map(|place| full_at(block, place))
}

/// What there is in a set, in one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    /// The bucket's own slot.
    found: Option<usize>,
    mark: Option<usize>,
    /// A slot without debt.
    idle: Option<usize>,
}

fn survey(block: &[u8], key: Key, now_ns: u64) -> Survey {
    let (own, mark) = (key.0.to_le_bytes(), Key::OVERFLOW.0.to_le_bytes());
    let mut survey = Survey::default();
    for (place, slot) in block.chunks_exact(SLOT).enumerate() {
        if slot.starts_with(&own) {
            survey.found = Some(place);
        } else if slot.starts_with(&mark) {
            survey.mark = Some(place);
        } else if survey.idle.is_none() && full_at(block, place) <= Fixed::from_ns(now_ns) {
            survey.idle = Some(place);
        }
    }
    survey
}

fn is_of(block: &[u8], place: usize, key: Key) -> bool {
    slot(block, place).starts_with(&key.0.to_le_bytes())
}

fn find(block: &[u8], key: Key) -> Option<usize> {
    let wanted = key.0.to_le_bytes();
    block
        .chunks_exact(SLOT)
        .position(|slot| slot.starts_with(&wanted))
}

/// A slot without debt. The overflow bucket, or the mark, keeps its slot.
fn idle(block: &[u8], now_ns: u64) -> Option<usize> {
    let overflow = Key::OVERFLOW.0.to_le_bytes();
    let now = Fixed::from_ns(now_ns);
    (0..block.len() / SLOT)
        .find(|place| full_at(block, *place) <= now && !slot(block, *place).starts_with(&overflow))
}

fn grow(block: &mut Vec<u8>, most_slots: usize) -> Option<usize> {
    let place = block.len() / SLOT;
    if place >= most_slots {
        return None;
    }
    block.resize((place + 1) * SLOT, 0);
    Some(place)
}

fn slot(block: &[u8], place: usize) -> &[u8] {
    let start = place * SLOT;
    block.get(start..start + SLOT).unwrap_or_default()
}

fn full_at(block: &[u8], place: usize) -> Fixed {
    let parts = slot(block, place)
        .split_first_chunk::<8>()
        .and_then(|(_, rest)| rest.split_first_chunk::<8>())
        .and_then(|(whole, rest)| Some((whole, rest.first_chunk::<4>()?)));
    parts.map_or(Fixed::default(), |(whole, fraction)| {
        Fixed::from_parts(u64::from_le_bytes(*whole), u32::from_le_bytes(*fraction))
    })
}

fn write(block: &mut [u8], place: usize, key: Key, full_at: Fixed) {
    let start = place * SLOT;
    let Some(slot) = block.get_mut(start..start + SLOT) else {
        return;
    };
    let (whole, fraction) = full_at.parts();
    let bytes = key
        .0
        .to_le_bytes()
        .into_iter()
        .chain(whole.to_le_bytes())
        .chain(fraction.to_le_bytes());
    for (to, from) in slot.iter_mut().zip(bytes) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;

    fn one(block: &mut Vec<u8>, key: u64, now: u64) -> Decision {
        let bucket = Gcra::new(1, SECOND, 1);
        match take(block, 4, Key::new(key), bucket, now, (1, 1)) {
            Step::Keep(answer) | Step::Write(answer) => answer,
        }
    }

    #[test]
    fn debtors_stay_and_the_idle_make_room() {
        let mut block = Vec::new();
        for key in 10..14 {
            assert!(matches!(one(&mut block, key, key), Decision::Admitted(_)));
        }
        assert_eq!(block.len(), 4 * SLOT);
        assert_eq!(one(&mut block, 99, 20), Decision::NoRoom);
        for key in 10..14 {
            assert!(matches!(one(&mut block, key, 20), Decision::Denied(_)));
        }
        // The first is full again, the others are not.
        assert!(matches!(
            one(&mut block, 99, SECOND + 10),
            Decision::Admitted(_)
        ));
        assert_eq!(peek(&block, Key::new(10)), None);
        assert_eq!(one(&mut block, 98, SECOND + 10), Decision::NoRoom);
        assert_eq!(block.len(), 4 * SLOT);
    }

    #[test]
    fn the_overflow_bucket_is_not_evicted() {
        let mut block = Vec::new();
        let bucket = Gcra::new(1, SECOND, 1);
        let _ = take(&mut block, 1, Key::OVERFLOW, bucket, 0, (1, 1));
        assert_eq!(
            take(&mut block, 1, Key::new(5), bucket, 9 * SECOND, (1, 1)),
            Step::Keep(Decision::NoRoom)
        );
    }

    #[test]
    fn tokens_are_given_back_to_whom_they_belong() {
        let mut block = Vec::new();
        let _ = one(&mut block, 7, 0);
        let bucket = Gcra::new(1, SECOND, 1);
        assert!(!give_back(&mut block, Key::new(8), bucket, 1));
        assert!(give_back(&mut block, Key::new(7), bucket, 1));
        assert!(matches!(one(&mut block, 7, 0), Decision::Admitted(_)));
    }

    #[test]
    fn a_damaged_block_is_not_trusted_beyond_its_slots() {
        let mut block = vec![0xff; SLOT * 2 - 1];
        assert!(matches!(one(&mut block, 7, 0), Decision::Admitted(_)));
        assert!(matches!(one(&mut block, 7, 0), Decision::Denied(_)));
        assert_eq!(block.len(), SLOT * 2);
    }
}
