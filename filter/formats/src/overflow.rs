//! Counters of clients that have no bucket: a header (the time they count from,
//! what a step is worth, bytes of a counter), then the counters as they are.

use btp_engine::{OverflowCells, OverflowId};

use crate::Stored;
use crate::bytes::Reader;

const HEADER: usize = 20;

impl Stored for OverflowId {
    fn decode(self, mut value: Vec<u8>) -> OverflowCells {
        let Some((base_ns, unit_ns, width)) = header(&value) else {
            return OverflowCells::default();
        };
        value.drain(..HEADER);
        OverflowCells {
            base_ns,
            unit_ns,
            width: usize::try_from(width).unwrap_or(0),
            counters: value,
        }
    }

    fn encode(self, cell: &OverflowCells) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEADER + cell.counters.len());
        let width = u32::try_from(cell.width).unwrap_or(0);
        value.extend_from_slice(&cell.base_ns.to_le_bytes());
        value.extend_from_slice(&cell.unit_ns.to_le_bytes());
        value.extend_from_slice(&width.to_le_bytes());
        value.extend_from_slice(&cell.counters);
        value
    }
}

fn header(value: &[u8]) -> Option<(u64, u64, u32)> {
    let mut reader = Reader(value);
    Some((reader.u64()?, reader.u64()?, reader.u32()?))
}
