//! Random numbers for sampling decisions.

use std::cell::Cell;

/// SplitMix64, seeded from the host's entropy. Good for sampling, not for
/// secrets.
#[derive(Debug)]
pub(crate) struct Random {
    state: Cell<u64>,
}

impl Random {
    /// A generator with a seed of its own.
    pub(crate) fn seeded() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(|seed| Self {
            state: Cell::new(seed),
        })
    }

    /// 64 uniformly random bits.
    pub(crate) fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
