//! Counters of clients that have no bucket: a header (the time they count from, what a
//! step is worth, bytes of a counter; the limit they are debts of, as tokens, burst and
//! period, with 0 tokens if it is not known; when they were rewritten for another limit),
//! then the counters as they are.

use std::num::NonZeroU32;

use btp_engine::{OverflowCells, OverflowId, Rate};

use crate::Stored;
use crate::bytes::Reader;

const HEADER: usize = 44;

impl Stored for OverflowId {
    fn decode(self, mut value: Vec<u8>) -> OverflowCells {
        let Some(cells) = header(Reader(&value)) else {
            return OverflowCells::default();
        };
        value.drain(..HEADER);
        OverflowCells {
            counters: value,
            ..cells
        }
    }

    fn encode(self, cell: &OverflowCells) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEADER + cell.counters.len());
        let width = u32::try_from(cell.width).unwrap_or(0);
        let (tokens, burst, period_ns) = cell.rate.map_or((0, 0, 0), |rate| {
            (rate.tokens.get(), rate.burst, rate.period_ns)
        });
        value.extend_from_slice(&cell.base_ns.to_le_bytes());
        value.extend_from_slice(&cell.unit_ns.to_le_bytes());
        value.extend_from_slice(&width.to_le_bytes());
        value.extend_from_slice(&tokens.to_le_bytes());
        value.extend_from_slice(&burst.to_le_bytes());
        value.extend_from_slice(&period_ns.to_le_bytes());
        value.extend_from_slice(&cell.converted_ns.to_le_bytes());
        value.extend_from_slice(&cell.counters);
        value
    }
}

/// All but the counters.
fn header(mut reader: Reader<'_>) -> Option<OverflowCells> {
    let (base_ns, unit_ns) = (reader.u64()?, reader.u64()?);
    let width = usize::try_from(reader.u32()?).ok()?;
    let (tokens, burst, period_ns) = (reader.u32()?, reader.u32()?, reader.u64()?);
    Some(OverflowCells {
        base_ns,
        unit_ns,
        width,
        rate: NonZeroU32::new(tokens).map(|tokens| Rate {
            tokens,
            burst,
            period_ns,
        }),
        converted_ns: reader.u64()?,
        counters: Vec::new(),
    })
}
