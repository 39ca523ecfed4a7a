//! Token buckets.
//!
//! Version 1, in words: the mark of a set (its time in whole nanoseconds, then its
//! number; zeros if there is none) with the number of rates in the upper half of the
//! second word; the rates (tokens and burst, period), then three words for each
//! bucket: key, when it will be full (whole nanoseconds, then 2⁻³² ns) with the
//! rate's number in the upper half of the third. There are few rates, and many
//! buckets.
//!
//! Version 0, which is read where nobody has written version 1 yet: slots of 20
//! bytes without a rate. In a set the slot of the highest key is the mark.

use std::num::NonZeroU32;

use btp_engine::{Bucket, Buckets, BucketsId, CellId, CellNames, Rate, SetMark};

use crate::bytes::{Reader, halves, of_halves, of_words, words};
use crate::{Decode, Stored};

/// The number of no rate.
const UNKNOWN: u32 = u32::MAX;
const MARK: u64 = u64::MAX;
const VERSION_0_SLOT: usize = 20;
/// What follows the name in a key.
const VERSION_1: &str = ".1";

impl Stored for BucketsId {
    fn decode(self, value: Vec<u8>) -> Buckets {
        read(&words(&value)).unwrap_or_default()
    }

    #[inline(never)]
    fn encode(self, cell: &Buckets) -> Vec<u8> {
        let rates = rates(cell);
        let mark = cell.mark.unwrap_or_default();
        let size = 2 + 2 * rates.len() + 3 * cell.buckets.len();
        let mut words = Vec::with_capacity(size);
        words.extend([
            mark.until_ns,
            of_halves(mark.number, number_of(rates.len())),
        ]);
        for rate in &rates {
            words.extend([of_halves(rate.tokens.get(), rate.burst), rate.period_ns]);
        }
        for bucket in &cell.buckets {
            let rate = bucket.rate.map_or(UNKNOWN, |rate| {
                let place = rates.iter().position(|it| *it == rate);
                place.map_or(UNKNOWN, number_of)
            });
            let fraction = of_halves(bucket.full_at_fraction, rate);
            words.extend([bucket.key, bucket.full_at_ns, fraction]);
        }
        of_words(&words)
    }

    fn earlier(self, keys: &CellNames) -> Option<(String, Decode<Buckets>)> {
        let key = self.name(keys)?.strip_suffix(VERSION_1)?.to_owned();
        Some(match self {
            Self::Own(_) => (key, read_version_0),
            Self::Shared(_) => (key, read_set_of_version_0),
        })
    }
}

/// All rates of a cell, each once.
fn rates(cell: &Buckets) -> Vec<Rate> {
    let mut rates: Vec<Rate> = Vec::new();
    let mut last = None;
    for rate in cell.buckets.iter().filter_map(|bucket| bucket.rate) {
        // Mostly there is one.
        if last != Some(rate) && !rates.contains(&rate) {
            rates.push(rate);
        }
        last = Some(rate);
    }
    rates
}

fn number_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(UNKNOWN)
}

#[inline(never)]
fn read(words: &[u64]) -> Option<Buckets> {
    let (&[until_ns, second], words) = words.split_first_chunk()?;
    let (number, count) = halves(second);
    let rate_words = usize::try_from(count).ok()?.checked_mul(2)?;
    let (rates, words) = words.split_at_checked(rate_words)?;
    let rates = rates.as_chunks().0.iter().map(|&[first, period_ns]| {
        let (tokens, burst) = halves(first);
        NonZeroU32::new(tokens).map(|tokens| Rate {
            tokens,
            burst,
            period_ns,
        })
    });
    // A rate that cannot be keeps its place.
    let rates: Vec<Option<Rate>> = rates.collect();
    let buckets = words.as_chunks().0.iter();
    let buckets = buckets.map(|&[key, full_at_ns, third]| {
        let (full_at_fraction, rate) = halves(third);
        let rate = usize::try_from(rate).ok().and_then(|rate| rates.get(rate));
        Bucket {
            key,
            full_at_ns,
            full_at_fraction,
            rate: rate.copied().flatten(),
        }
    });
    Some(Buckets {
        buckets: buckets.collect(),
        mark: (number != 0 || until_ns != 0).then_some(SetMark { until_ns, number }),
    })
}

/// Buckets of routes, that for routes without one among them.
fn read_version_0(value: &[u8]) -> Buckets {
    let (slots, _) = value.as_chunks::<VERSION_0_SLOT>();
    let buckets = slots.iter().filter_map(|slot| {
        let mut slot = Reader(slot);
        Some(Bucket {
            key: slot.u64()?,
            full_at_ns: slot.u64()?,
            full_at_fraction: slot.u32()?,
            rate: None,
        })
    });
    Buckets {
        buckets: buckets.collect(),
        mark: None,
    }
}

fn read_set_of_version_0(value: &[u8]) -> Buckets {
    let mut cell = read_version_0(value);
    let mark = cell.buckets.iter().find(|bucket| bucket.key == MARK);
    cell.mark = mark.map(|mark| SetMark {
        until_ns: mark.full_at_ns,
        number: mark.full_at_fraction,
    });
    cell.buckets.retain(|bucket| bucket.key != MARK);
    cell
}
