//! Random numbers for sampling decisions.

use std::cell::Cell;

use btp_policy::hash::SplitMix64;

/// A generator, seeded from the host's entropy. Good for sampling, not for
/// secrets.
#[derive(Debug)]
pub(crate) struct Random(Cell<SplitMix64>);

impl Random {
    /// A generator with a seed of its own.
    pub(crate) fn seeded() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(|seed| Self(Cell::new(SplitMix64::new(seed))))
    }

    /// 64 uniformly random bits.
    pub(crate) fn next(&self) -> u64 {
        let mut generator = self.0.get();
        let drawn = generator.draw();
        self.0.set(generator);
        drawn
    }
}
