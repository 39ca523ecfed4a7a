//! Buckets of clients for which the table of `Distinct` values has no slot.
//!
//! Each such client has two of many counters, chosen by its keyed hash. A counter holds the
//! time at which a bucket will be full again. Both contain the tokens that the client has
//! taken, so the lesser of the two is at least its own debt. The client is refused only if
//! both are used up, by itself or by others. (This is a count-min sketch with conservative
//! update, of debts.) No client ever gets more than the limit, and clients that cause
//! refusals for others must use up one counter after the other.
//!
//! Times are rounded up to a [`Shape::unit`], a small part of the time in which
//! a bucket becomes full: a client may have to wait for its last token, or for
//! the next one, that much longer.
//!
//! The counters of a cell are debts under one limit; under another one as many tokens
//! are missing. They are rewritten for another limit once in [`CONVERSION_NS`] at most,
//! which cuts each debt to what that limit can have. So two configurations that serve at
//! the same time do not forgive a client's debt to one another more often than that, and
//! the work is bounded. Until then whoever has another limit converts what it reads.
//!
//! Sources: Cormode and Muthukrishnan, "An improved data stream summary: the
//! count-min sketch" (2005); Estan and Varghese, "New directions in traffic
//! measurement" (2002), for the conservative update.

use std::borrow::Borrow;

use super::buckets::{Decision, Key};
use super::gcra::{Denied, Fixed, Gcra};
use crate::host::shared_state::{OverflowCells, Update};

/// How a rule's counters are laid out. Depends on its limit, which may change:
/// the cells say how they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    counters: usize,
    /// Bytes of a counter.
    width: usize,
    /// Nanoseconds.
    unit: u64,
}

/// Cells in a shape that is known.
#[derive(Clone, Debug)]
struct Sketch<C> {
    shape: Shape,
    cells: C,
}

/// Sets of clients that share the counters of one cell.
pub(crate) const SETS_PER_CELL: u32 = 3;
/// A bucket of one token is used up by one request, so that there must be more
/// of them.
const MOST_COUNTERS: usize = 16_384;
const LEAST_COUNTERS: usize = 512;
/// Up to so many tokens counters of so many bytes tell one token from the next;
/// further up four bytes do. In so many units a bucket becomes full: an eighth
/// of what such a counter can say, or a 256th.
const WIDTHS: [(u64, usize, u64); 3] = [(1, 1, 1 << 5), (512, 2, 1 << 13), (u64::MAX, 4, 1 << 24)];
/// Counters are rewritten for another limit once in so long, in nanoseconds.
const CONVERSION_NS: u64 = 60_000_000_000;
/// The second counter's place is further up in the hash.
const SECOND_PLACE: u32 = MOST_COUNTERS.trailing_zeros();

impl Shape {
    pub(crate) fn of(bucket: Gcra) -> Self {
        let interval = bucket.refill_ns(1).max(1);
        // Those that are taken ahead among them.
        let tokens = bucket.longest_debt_ns().div_ceil(interval).max(1);
        let fits = |(most, ..): &&(u64, usize, u64)| tokens <= *most;
        let (_, width, span) = WIDTHS.iter().find(fits).copied().unwrap_or_default();
        let burst = usize::try_from(bucket.burst()).unwrap_or(usize::MAX);
        let counters = MOST_COUNTERS.div_ceil(burst.max(1)).next_power_of_two();
        Self {
            counters: counters.clamp(LEAST_COUNTERS, MOST_COUNTERS),
            width,
            // A token is so many whole units.
            unit: interval.div_ceil((span / tokens).max(1)),
        }
    }

    /// That of cells which somebody has written, in this way.
    fn of_cells(cells: &OverflowCells) -> Option<Self> {
        let shape = Self {
            counters: cells.counters.len().checked_div(cells.width)?,
            width: cells.width,
            unit: cells.unit_ns,
        };
        let is_sound = WIDTHS.iter().any(|(_, known, _)| *known == shape.width)
            && shape.unit > 0
            && shape.counters.is_power_of_two()
            && shape.counters <= MOST_COUNTERS;
        is_sound.then_some(shape)
    }

    /// The most that a counter can say.
    fn most(self) -> u64 {
        let bits = u32::try_from(self.width * 8).unwrap_or(u32::BITS);
        (1 << bits) - 1
    }

    fn places(self, key: Key) -> [usize; 2] {
        let mask = u64::try_from(self.counters).unwrap_or(1).wrapping_sub(1);
        let place = |hash: u64| usize::try_from(hash & mask).unwrap_or(0);
        [place(key.get()), place(key.get() >> SECOND_PLACE)]
    }
}

/// Takes tokens from the counters of `key`, `least` to `most` of them.
pub(crate) fn take(
    cells: &mut OverflowCells,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    (least, most): (u64, u64),
) -> Update<Decision> {
    let is_converted = convert(cells, bucket, now_ns);
    let answer = |decision| match is_converted {
        true => Update::Write(decision),
        false => Update::Keep(decision),
    };
    let full_at = debt(cells, key, bucket, now_ns);
    let admitted = match bucket.take(full_at, now_ns, least, most) {
        Ok(admitted) => admitted,
        Err(denied) => return answer(Decision::Denied(denied)),
    };
    let Some(shape) = Shape::of_cells(cells) else {
        return answer(Decision::NoRoom);
    };
    let written = limit_of(cells, bucket);
    let mut sketch = Sketch { shape, cells };
    let after = if written.rate() == bucket.rate() {
        admitted.full_at
    } else {
        let before = sketch.debt(key).max(Fixed::from_ns(now_ns));
        written.spend(before, admitted.tokens)
    };
    if sketch.raise(key, after, now_ns) {
        return Update::Write(Decision::Admitted(admitted));
    }
    // Counters that were written for a much smaller limit cannot say as much.
    Update::Write(Decision::Denied(Denied {
        wait_ns: bucket.refill_ns(least),
        full_at,
    }))
}

/// When a bucket would be full again after all the debt in the counters of `key`: not
/// before its own debt has been paid.
pub(crate) fn debt(cells: &OverflowCells, key: Key, bucket: Gcra, now_ns: u64) -> Fixed {
    let Some(shape) = Shape::of_cells(cells) else {
        return Fixed::default();
    };
    let full_at = Sketch { shape, cells }.debt(key);
    let same = bucket.as_full_as(limit_of(cells, bucket), full_at, now_ns);
    same.min(bucket.empty(now_ns))
}

/// The limit that cells were written under; cells that nobody has written say none.
fn limit_of(cells: &OverflowCells, bucket: Gcra) -> Gcra {
    cells.rate.map_or(bucket, Gcra::of_rate)
}

/// Rewrites cells that were written under another limit, or not yet, for this one, unless
/// that was done a moment ago; says whether it has. No debt becomes less by that, but for
/// what the limit cannot have.
fn convert(cells: &mut OverflowCells, bucket: Gcra, now_ns: u64) -> bool {
    let (shape, known) = (Shape::of(bucket), Shape::of_cells(cells));
    let is_same = known == Some(shape) && cells.rate == Some(bucket.rate());
    let is_fresh = now_ns < cells.converted_ns.saturating_add(CONVERSION_NS);
    if is_same || known.is_some() && is_fresh && cells.converted_ns > 0 {
        return false;
    }
    let written = limit_of(cells, bucket);
    let most = bucket.empty(now_ns);
    let debts: Vec<Fixed> = known.map_or_else(Vec::new, |shape| {
        let old = Sketch {
            shape,
            cells: &*cells,
        };
        let debt = |place| {
            let full_at = Fixed::from_ns(old.full_at(place));
            bucket.as_full_as(written, full_at, now_ns).min(most)
        };
        (0..shape.counters).map(debt).collect()
    });
    let mut new = OverflowCells {
        base_ns: now_ns,
        unit_ns: shape.unit,
        width: shape.width,
        rate: Some(bucket.rate()),
        // The first who writes them converts nothing.
        converted_ns: known.map_or(0, |_| now_ns),
        counters: vec![0; shape.counters * shape.width],
    };
    let mut sketch = Sketch {
        shape,
        cells: &mut new,
    };
    // Places are the lowest bits of a hash: a counter becomes several, or several
    // one.
    for place in 0..shape.counters.max(debts.len()) {
        let old = place.checked_rem(debts.len()).unwrap_or(0);
        let debt = debts.get(old).map_or(0, |debt| debt.ceil_ns());
        let place = place.checked_rem(shape.counters).unwrap_or(0);
        if debt > now_ns {
            let steps = sketch.steps_to(debt).min(shape.most());
            sketch.set(place, steps.max(sketch.get(place)));
        }
    }
    *cells = new;
    true
}

impl<C: Borrow<OverflowCells>> Sketch<C> {
    fn debt(&self, key: Key) -> Fixed {
        let [first, second] = self.shape.places(key);
        Fixed::from_ns(self.full_at(first).min(self.full_at(second)))
    }

    /// Nanoseconds of the host's clock.
    fn full_at(&self, place: usize) -> u64 {
        match self.get(place) {
            0 => 0,
            steps => self
                .base_ns()
                .saturating_add(steps.saturating_mul(self.shape.unit)),
        }
    }

    /// Rounded up.
    fn steps_to(&self, full_at: u64) -> u64 {
        full_at
            .saturating_sub(self.base_ns())
            .div_ceil(self.shape.unit)
            .max(1)
    }

    fn get(&self, place: usize) -> u64 {
        let start = place * self.shape.width;
        let counters = &self.cells.borrow().counters;
        let bytes = counters.get(start..start + self.shape.width);
        let bytes = bytes.unwrap_or_default().iter().rev();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn base_ns(&self) -> u64 {
        self.cells.borrow().base_ns
    }
}

impl Sketch<&mut OverflowCells> {
    /// Raises the counters of `key` to at least this, if they can say as much.
    fn raise(&mut self, key: Key, full_at: Fixed, now_ns: u64) -> bool {
        let full_at = full_at.ceil_ns();
        if self.steps_to(full_at) > self.shape.most() {
            self.rebase(now_ns);
        }
        let steps = self.steps_to(full_at);
        if steps > self.shape.most() {
            return false;
        }
        for place in self.shape.places(key) {
            if self.get(place) < steps {
                self.set(place, steps);
            }
        }
        true
    }

    /// Counts from now on. What is past is forgotten.
    fn rebase(&mut self, now_ns: u64) {
        let by = now_ns.saturating_sub(self.base_ns()) / self.shape.unit;
        for place in 0..self.shape.counters {
            self.set(place, self.get(place).saturating_sub(by));
        }
        let by = by.saturating_mul(self.shape.unit);
        self.cells.base_ns = self.base_ns().saturating_add(by);
    }

    fn set(&mut self, place: usize, steps: u64) {
        let start = place * self.shape.width;
        let bytes = self.cells.counters.get_mut(start..start + self.shape.width);
        for (to, from) in bytes
            .unwrap_or_default()
            .iter_mut()
            .zip(steps.to_le_bytes())
        {
            *to = from;
        }
    }
}

#[cfg(test)]
mod tests;
