//! Buckets in a block of bytes: a table of (key, when it is full again).
//!
//! A bucket without debt is as good as new, so its slot goes to whoever needs
//! one: nothing is forgotten by that. A bucket with debt is never evicted;
//! when all slots are in debt there is no room.

use super::gcra::{Fixed, Gcra, Granted, Short};
use crate::shared::Step;

/// The key of a bucket in its block; never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// What came of asking a bucket for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(Granted),
    Short(Short),
    /// There is no slot for this bucket.
    NoRoom,
}

/// Bytes of a slot: the key, whole nanoseconds and their fraction, all in
/// little-endian order.
pub(crate) const SLOT: usize = 20;

impl Key {
    /// The bucket of those who find no slot.
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
    (least, most): (u64, u64),
) -> Step<Answer> {
    let found = find(block, key);
    let before = found.map_or(Fixed::default(), |place| full_at(block, place));
    let granted = match bucket.take(before, now_ns, least, most) {
        Ok(granted) => granted,
        Err(short) => {
            let answer = Answer::Short(short);
            // The limit was changed: the debt is cut to what it can be now.
            if let Some(place) = found.filter(|_| short.full_at < before) {
                write(block, place, key, short.full_at);
                return Step::Write(answer);
            }
            return Step::Keep(answer);
        }
    };
    let place = found
        .or_else(|| idle(block, now_ns))
        .or_else(|| grow(block, most_slots));
    let Some(place) = place else {
        return Step::Keep(Answer::NoRoom);
    };
    write(block, place, key, granted.full_at);
    Step::Write(Answer::Granted(granted))
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

fn find(block: &[u8], key: Key) -> Option<usize> {
    let wanted = key.0.to_le_bytes();
    block
        .chunks_exact(SLOT)
        .position(|slot| slot.starts_with(&wanted))
}

/// A slot without debt. The overflow bucket keeps its slot.
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

    fn one(block: &mut Vec<u8>, key: u64, now: u64) -> Answer {
        let bucket = Gcra::new(1, SECOND, 1);
        match take(block, 4, Key::new(key), bucket, now, (1, 1)) {
            Step::Keep(answer) | Step::Write(answer) => answer,
        }
    }

    #[test]
    fn debtors_stay_and_the_idle_make_room() {
        let mut block = Vec::new();
        for key in 10..14 {
            assert!(matches!(one(&mut block, key, key), Answer::Granted(_)));
        }
        assert_eq!(block.len(), 4 * SLOT);
        assert_eq!(one(&mut block, 99, 20), Answer::NoRoom);
        for key in 10..14 {
            assert!(matches!(one(&mut block, key, 20), Answer::Short(_)));
        }
        // The first is full again, the others are not.
        assert!(matches!(
            one(&mut block, 99, SECOND + 10),
            Answer::Granted(_)
        ));
        assert_eq!(peek(&block, Key::new(10)), None);
        assert_eq!(one(&mut block, 98, SECOND + 10), Answer::NoRoom);
        assert_eq!(block.len(), 4 * SLOT);
    }

    #[test]
    fn the_overflow_bucket_is_not_evicted() {
        let mut block = Vec::new();
        let bucket = Gcra::new(1, SECOND, 1);
        let _ = take(&mut block, 1, Key::OVERFLOW, bucket, 0, (1, 1));
        assert_eq!(
            take(&mut block, 1, Key::new(5), bucket, 9 * SECOND, (1, 1)),
            Step::Keep(Answer::NoRoom)
        );
    }

    #[test]
    fn tokens_are_given_back_to_whom_they_belong() {
        let mut block = Vec::new();
        let _ = one(&mut block, 7, 0);
        let bucket = Gcra::new(1, SECOND, 1);
        assert!(!give_back(&mut block, Key::new(8), bucket, 1));
        assert!(give_back(&mut block, Key::new(7), bucket, 1));
        assert!(matches!(one(&mut block, 7, 0), Answer::Granted(_)));
    }

    #[test]
    fn a_damaged_block_is_not_trusted_beyond_its_slots() {
        let mut block = vec![0xff; SLOT * 2 - 1];
        assert!(matches!(one(&mut block, 7, 0), Answer::Granted(_)));
        assert!(matches!(one(&mut block, 7, 0), Answer::Short(_)));
        assert_eq!(block.len(), SLOT * 2);
    }
}
