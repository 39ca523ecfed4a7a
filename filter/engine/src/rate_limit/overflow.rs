//! Buckets of clients for whom the table of `Distinct` values has no slot.
//!
//! Each such client has two of many cells, chosen by its keyed hash. A cell holds
//! the time at which a bucket will be full again; what the client has taken stands in both,
//! so that the lesser of the two is at least its own debt, and it is refused
//! only if both are used up, by itself or by others. (This is a count-min
//! sketch with conservative update, of debts.) Nobody ever gets more than the
//! limit, and those who refuse others have to use up cell after cell.
//!
//! Times are rounded up to a [`Shape::unit`], a small part of the time in which
//! a bucket becomes full: a client may have to wait for its last token, or for
//! the next one, that much longer.
//!
//! Sources: Cormode and Muthukrishnan, "An improved data stream summary: the
//! count-min sketch" (2005); Estan and Varghese, "New directions in traffic
//! measurement" (2002), for the conservative update.

use super::buckets::{Decision, Key};
use super::gcra::{Fixed, Gcra};
use crate::host::values::Step;

/// How a rule's cells are laid out in a block. Depends on its limit, which may
/// change: the block says how it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    cells: usize,
    /// Bytes of a cell.
    width: usize,
    /// Nanoseconds.
    unit: u64,
}

/// A block, as far as it can be read.
struct Cells<'a> {
    shape: Shape,
    /// Cells count from here.
    base_ns: u64,
    bytes: &'a mut Vec<u8>,
}

/// Sets of the table of slots that have one block of cells together.
pub(crate) const SETS_PER_BLOCK: u32 = 3;
/// A bucket of one token is used up by one request, so that there must be more
/// of them.
const MOST_CELLS: usize = 16_384;
const LEAST_CELLS: usize = 512;
/// Up to so many tokens cells of so many bytes tell one token from the next;
/// further up four bytes do. In so many units a bucket becomes full: an eighth
/// of what such a cell can say, or a 256th.
const WIDTHS: [(u64, usize, u64); 3] = [(1, 1, 1 << 5), (512, 2, 1 << 13), (u64::MAX, 4, 1 << 24)];
/// Bytes before the cells: base and unit in nanoseconds, and the width.
const HEADER: usize = 20;
/// The second cell's place is further up in the hash.
const SECOND_PLACE: u32 = MOST_CELLS.trailing_zeros();

impl Shape {
    pub(crate) fn of(bucket: Gcra) -> Self {
        let interval = bucket.refill_ns(1).max(1);
        // Those that are taken ahead among them.
        let tokens = bucket.longest_debt_ns().div_ceil(interval).max(1);
        let fits = |(most, ..): &&(u64, usize, u64)| tokens <= *most;
        let (_, width, span) = WIDTHS.iter().find(fits).copied().unwrap_or_default();
        let cells = usize::try_from(bucket.burst()).unwrap_or(usize::MAX);
        let cells = MOST_CELLS.div_ceil(cells.max(1)).next_power_of_two();
        Self {
            cells: cells.clamp(LEAST_CELLS, MOST_CELLS),
            width,
            // A token is so many whole units.
            unit: interval.div_ceil((span / tokens).max(1)),
        }
    }

    /// The most that a cell can say.
    fn most(self) -> u64 {
        let bits = u32::try_from(self.width * 8).unwrap_or(u32::BITS);
        (1 << bits) - 1
    }

    fn places(self, key: Key) -> [usize; 2] {
        let mask = u64::try_from(self.cells).unwrap_or(1).wrapping_sub(1);
        let place = |hash: u64| usize::try_from(hash & mask).unwrap_or(0);
        [place(key.get()), place(key.get() >> SECOND_PLACE)]
    }
}

/// Takes tokens from the cells of `key`, `least` to `most` of them.
pub(crate) fn take(
    block: &mut Vec<u8>,
    key: Key,
    bucket: Gcra,
    now_ns: u64,
    (least, most): (u64, u64),
) -> Step<Decision> {
    let mut cells = Cells::open(block, Shape::of(bucket), now_ns);
    match bucket.take(cells.debt(key), now_ns, least, most) {
        Ok(admitted) => {
            cells.raise(key, admitted.full_at, now_ns);
            Step::Write(Decision::Admitted(admitted))
        }
        Err(denied) => Step::Keep(Decision::Denied(denied)),
    }
}

/// When a bucket would be full again from which all was taken that stands in
/// the cells of `key`: not before its own debt has been paid.
pub(crate) fn debt(block: &mut Vec<u8>, key: Key, bucket: Gcra, now_ns: u64) -> Fixed {
    Cells::open(block, Shape::of(bucket), now_ns).debt(key)
}

impl<'a> Cells<'a> {
    /// Brings a block that was written under another limit into this shape.
    /// No debt becomes less by that, but for what the limit cannot have.
    fn open(bytes: &'a mut Vec<u8>, shape: Shape, now_ns: u64) -> Self {
        let Some((base_ns, old)) = read_header(bytes) else {
            bytes.clear();
            bytes.resize(HEADER + shape.cells * shape.width, 0);
            let cells = Self {
                shape,
                base_ns: now_ns,
                bytes,
            };
            return cells.with_header();
        };
        let cells = Self {
            shape: old,
            base_ns,
            bytes,
        };
        if old == shape {
            cells
        } else {
            cells.converted(shape, now_ns)
        }
    }

    fn debt(&self, key: Key) -> Fixed {
        let [first, second] = self.shape.places(key);
        Fixed::from_ns(self.full_at(first).min(self.full_at(second)))
    }

    /// Makes what stands in the cells of `key` at least this.
    fn raise(&mut self, key: Key, full_at: Fixed, now_ns: u64) {
        let full_at = full_at.ceil_ns();
        if self.steps_to(full_at) > self.shape.most() {
            self.rebase(now_ns);
        }
        let steps = self.steps_to(full_at).min(self.shape.most());
        for place in self.shape.places(key) {
            if self.get(place) < steps {
                self.set(place, steps);
            }
        }
    }

    /// Nanoseconds of the host's clock.
    fn full_at(&self, place: usize) -> u64 {
        match self.get(place) {
            0 => 0,
            steps => self
                .base_ns
                .saturating_add(steps.saturating_mul(self.shape.unit)),
        }
    }

    /// Rounded up.
    fn steps_to(&self, full_at: u64) -> u64 {
        full_at
            .saturating_sub(self.base_ns)
            .div_ceil(self.shape.unit)
            .max(1)
    }

    /// Counts from now on. What is past is forgotten.
    fn rebase(&mut self, now_ns: u64) {
        let by = now_ns.saturating_sub(self.base_ns) / self.shape.unit;
        for place in 0..self.shape.cells {
            self.set(place, self.get(place).saturating_sub(by));
        }
        let by = by.saturating_mul(self.shape.unit);
        self.base_ns = self.base_ns.saturating_add(by);
        self.write_header();
    }

    fn converted(self, shape: Shape, now_ns: u64) -> Self {
        let debts: Vec<u64> = (0..self.shape.cells).map(|it| self.full_at(it)).collect();
        let bytes = self.bytes;
        bytes.clear();
        bytes.resize(HEADER + shape.cells * shape.width, 0);
        let mut new = Self {
            shape,
            base_ns: now_ns,
            bytes,
        };
        // Places are the lowest bits of a hash: a cell becomes several, or
        // several one.
        for place in 0..shape.cells.max(debts.len()) {
            let old = place.checked_rem(debts.len()).unwrap_or(0);
            let debt = debts.get(old).copied().unwrap_or(0);
            let place = place.checked_rem(shape.cells).unwrap_or(0);
            if debt > now_ns {
                let steps = new.steps_to(debt).min(shape.most());
                new.set(place, steps.max(new.get(place)));
            }
        }
        new.with_header()
    }

    fn get(&self, place: usize) -> u64 {
        let start = HEADER + place * self.shape.width;
        let bytes = self.bytes.get(start..start + self.shape.width);
        let bytes = bytes.unwrap_or_default().iter().rev();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn set(&mut self, place: usize, steps: u64) {
        let start = HEADER + place * self.shape.width;
        let bytes = self.bytes.get_mut(start..start + self.shape.width);
        for (to, from) in bytes
            .unwrap_or_default()
            .iter_mut()
            .zip(steps.to_le_bytes())
        {
            *to = from;
        }
    }

    fn with_header(mut self) -> Self {
        self.write_header();
        self
    }

    fn write_header(&mut self) {
        let width = u32::try_from(self.shape.width).unwrap_or(0);
        let parts = self.base_ns.to_le_bytes().into_iter();
        let parts = parts.chain(self.shape.unit.to_le_bytes());
        let parts = parts.chain(width.to_le_bytes());
        for (to, from) in self.bytes.iter_mut().zip(parts) {
            *to = from;
        }
    }
}

/// The base and the shape that a block was written with; `None` if nobody has
/// written it, or not in this way.
fn read_header(bytes: &[u8]) -> Option<(u64, Shape)> {
    let (base, rest) = bytes.split_first_chunk()?;
    let (unit, rest) = rest.split_first_chunk()?;
    let (width, rest) = rest.split_first_chunk()?;
    let width = usize::try_from(u32::from_le_bytes(*width)).ok()?;
    let shape = Shape {
        cells: rest.len().checked_div(width)?,
        width,
        unit: u64::from_le_bytes(*unit),
    };
    let is_sound = WIDTHS.iter().any(|(_, known, _)| *known == width)
        && shape.unit > 0
        && shape.cells.is_power_of_two()
        && shape.cells <= MOST_CELLS;
    is_sound.then_some((u64::from_le_bytes(*base), shape))
}

#[cfg(test)]
mod tests;
