//! How long delays are: fixed, or samples from a table.
//!
//! A table holds the inverse of the distribution function, finer towards the
//! long delays: each halving of the probability of a longer delay has 128
//! steps, down to 2⁻³². A draw takes the number of halvings from a uniform 64-bit
//! number's leading zeros, the step from the next 7 bits, and interpolates by
//! the rest; whole numbers only. The table is made once per configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use btp_policy::scalar::{Duration, Ppm};
use btp_policy::spec::{DelayLength, Distribution, Spread};
use libm::{exp, log};

use super::normal::normal_upper;

/// A delay's length.
#[derive(Debug)]
pub(super) enum Length {
    /// Always so many nanoseconds.
    Fixed(u64),
    Samples(Arc<Table>),
}

/// The tables of a configuration. Equal distributions share one: each takes
/// 16 KiB, and a millisecond to work out.
#[derive(Debug, Default)]
pub(crate) struct DelayTables(BTreeMap<Vec<u64>, Arc<Table>>);

/// Delays in microseconds, falling.
#[derive(Debug)]
pub(crate) struct Table {
    knots: Vec<u32>,
}

const HALVINGS: u32 = 32;
const STEP_BITS: u32 = 7;
const STEPS: u32 = 1 << STEP_BITS;

const NANOS_PER_MICRO: u64 = 1_000;
/// The standard normal distribution's 99th percentile.
const Z_99: f64 = 2.326_347_874_040_841;

impl Length {
    pub(super) fn compile(length: &DelayLength, tables: &mut DelayTables) -> Self {
        match length {
            DelayLength::Fixed(fixed) => Self::Fixed(fixed.as_nanos()),
            DelayLength::Drawn(distribution) => {
                let table = tables.0.entry(distribution.identity());
                let table = table.or_insert_with(|| Arc::new(Table::of(distribution)));
                Self::Samples(Arc::clone(table))
            }
        }
    }

    /// Nanoseconds; `random` gives a uniform 64-bit number.
    pub(super) fn nanos(&self, random: impl FnOnce() -> u64) -> u64 {
        match self {
            Self::Fixed(nanos) => *nanos,
            Self::Samples(table) => table.nanos(random()),
        }
    }
}

impl Table {
    /// Knots from the least probability of a longer delay to the greatest.
    fn of(distribution: &Distribution) -> Self {
        let max = micros(distribution.max);
        let knot = |probability: f64| {
            let delay = quantile(&distribution.spread, probability, max);
            // Also turns what is no number into 0.
            let delay = delay.min(max).max(0.0) + 0.5;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an hour at most: 3.6e9"
            )]
            let delay = delay as u32;
            delay
        };
        let mut knots = Vec::new();
        let mut half = 1.0 / 4_294_967_296.0;
        for _ in 0..HALVINGS {
            for step in 0..STEPS {
                knots.push(knot(half * (1.0 + f64::from(step) / f64::from(STEPS))));
            }
            half *= 2.0;
        }
        knots.push(knot(1.0));
        Self { knots }
    }

    /// The delay that is exceeded with probability `random` / 2⁶⁴.
    fn nanos(&self, random: u64) -> u64 {
        let knot = |index: usize| self.knots.get(index).map_or(0, |knot| u64::from(*knot));
        let halvings = random.leading_zeros();
        if halvings >= HALVINGS {
            return knot(0) * NANOS_PER_MICRO;
        }
        let aligned = random << halvings;
        let step = aligned >> (63 - STEP_BITS) & u64::from(STEPS - 1);
        let between = aligned >> (31 - STEP_BITS) & 0xffff_ffff;
        let index = u64::from((HALVINGS - 1 - halvings) * STEPS) + step;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let (above, below) = (knot(index), knot(index.saturating_add(1)));
        let nanos = above * NANOS_PER_MICRO;
        let span = above.saturating_sub(below) * NANOS_PER_MICRO;
        let down = (u128::from(span) * u128::from(between)) >> 32;
        nanos.saturating_sub(u64::try_from(down).unwrap_or(u64::MAX))
    }
}

/// The delay in microseconds that is exceeded with this probability, which is
/// more than 0 and at most 1.
fn quantile(spread: &Spread, probability: f64, max: f64) -> f64 {
    match spread {
        Spread::Uniform { min } => max - (max - micros(*min)) * probability,
        Spread::Normal { mean, std_dev } if probability < 1.0 => {
            micros(*mean) + micros(*std_dev) * normal_upper(probability)
        }
        Spread::LogNormal { p50, p99 } if probability < 1.0 => {
            let (median, ninety_ninth) = (log(micros(*p50)), log(micros(*p99)));
            let deviation = (ninety_ninth - median) / Z_99;
            exp(median + deviation * normal_upper(probability))
        }
        Spread::Normal { .. } | Spread::LogNormal { .. } => 0.0,
        Spread::Exponential { mean } => -micros(*mean) * log(probability),
        Spread::Pareto { scale, shape } => micros(*scale) * exp(-log(probability) / shape),
        Spread::Empirical { points } => measured(points, 1.0 - probability),
    }
}

/// Between two points delays grow by equal factors (or evenly, from zero);
/// below the first evenly from zero, above the last not at all.
fn measured(points: &[(Ppm, Duration)], share: f64) -> f64 {
    const MILLION: f64 = 1_000_000.0;
    let (mut from, mut low) = (0.0, 0.0);
    for (percentile, delay) in points {
        let (to, high) = (f64::from(percentile.get()) / MILLION, micros(*delay));
        if share < to {
            let along = (share - from) / (to - from);
            return if low > 0.0 {
                low * exp(log(high / low) * along)
            } else {
                high * along
            };
        }
        (from, low) = (to, high);
    }
    low
}

fn micros(duration: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an hour at most")]
    let nanos = duration.as_nanos() as f64;
    nanos / 1_000.0
}

#[cfg(test)]
mod tests;
