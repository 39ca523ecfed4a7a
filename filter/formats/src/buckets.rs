//! Token buckets.
//!
//! Version 1: the mark of a set (its time in whole nanoseconds, its number; zeros
//! if there is none), the number of rates, the rates (tokens, burst, period), then
//! slots of 22 bytes: key, when the bucket will be full (whole nanoseconds and
//! 2⁻³² ns), and which rate it was written under. There are few rates, and
//! many buckets.
//!
//! Version 0, which is read where nobody has written version 1 yet: slots of 20
//! bytes without a rate. In a set the slot of the highest key is the mark.

use std::num::NonZeroU32;

use btp_engine::{Bucket, Buckets, BucketsId, CellId, CellNames, Rate, SetMark};

use crate::bytes::Reader;
use crate::{Decode, Stored};

/// The number of no rate.
const UNKNOWN: u16 = u16::MAX;
const MARK: u64 = u64::MAX;
const HEADER: usize = 14;
const RATE: usize = 16;
const SLOT: usize = 22;
const VERSION_0_SLOT: usize = 20;
/// What follows the name in a key.
const VERSION_1: &str = ".1";

impl Stored for BucketsId {
    fn decode(self, value: Vec<u8>) -> Buckets {
        let mut reader = Reader(&value);
        read(&mut reader).unwrap_or_default()
    }

    #[inline(never)]
    fn encode(self, cell: &Buckets) -> Vec<u8> {
        let rates = rates(cell);
        let slots = cell.buckets.len() * SLOT;
        let mut value = Vec::with_capacity(HEADER + rates.len() * RATE + slots);
        let mark = cell.mark.unwrap_or_default();
        value.extend_from_slice(&mark.until_ns.to_le_bytes());
        value.extend_from_slice(&mark.number.to_le_bytes());
        value.extend_from_slice(&number_of(rates.len()).to_le_bytes());
        for rate in &rates {
            value.extend_from_slice(&rate.tokens.get().to_le_bytes());
            value.extend_from_slice(&rate.burst.to_le_bytes());
            value.extend_from_slice(&rate.period_ns.to_le_bytes());
        }
        for bucket in &cell.buckets {
            let rate = bucket
                .rate
                .and_then(|rate| rates.iter().position(|it| *it == rate));
            value.extend_from_slice(&bucket.key.to_le_bytes());
            value.extend_from_slice(&bucket.full_at_ns.to_le_bytes());
            value.extend_from_slice(&bucket.full_at_fraction.to_le_bytes());
            value.extend_from_slice(&rate.map_or(UNKNOWN, number_of).to_le_bytes());
        }
        value
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

fn number_of(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(UNKNOWN)
}

#[inline(never)]
fn read(reader: &mut Reader<'_>) -> Option<Buckets> {
    let (until_ns, number) = (reader.u64()?, reader.u32()?);
    let mut rates = Vec::new();
    for _ in 0..reader.u16()? {
        let (tokens, burst, period_ns) = (reader.u32()?, reader.u32()?, reader.u64()?);
        // A rate that cannot be keeps its place.
        rates.push(NonZeroU32::new(tokens).map(|tokens| Rate {
            tokens,
            burst,
            period_ns,
        }));
    }
    let (slots, _) = reader.0.as_chunks::<SLOT>();
    let buckets = slots.iter().filter_map(|slot| {
        let mut slot = Reader(slot);
        Some(Bucket {
            key: slot.u64()?,
            full_at_ns: slot.u64()?,
            full_at_fraction: slot.u32()?,
            rate: rates.get(usize::from(slot.u16()?)).copied().flatten(),
        })
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
