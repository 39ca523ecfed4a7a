//! What the workers of one proxy share: counters, cells, tables and blocks.
//!
//! Counters are process-wide and only go up. Cells hold one `u64` that is
//! changed by compare-and-swap: shared key-value data in a WebAssembly host,
//! atomics in a native one. Tables are short lists of words, blocks are bytes;
//! both are changed in the same way.

use crate::counters::CounterId;

/// Process-wide counters.
pub trait Counters {
    /// Adds to a counter.
    fn add(&self, counter: CounterId, amount: u64);

    /// The counter's value, all workers together.
    fn read(&self, counter: CounterId) -> u64;
}

/// Process-wide cells.
pub trait Cells {
    /// Replaces a cell's value by what `step` makes of it; `None` leaves the
    /// cell alone. `step` may be called several times, as other workers get
    /// in between; only the last call counts.
    fn update(&self, cell: CellId, step: impl FnMut(u64) -> Option<u64>) -> Updated;
}

/// Process-wide tables of words, empty at first.
pub trait Tables {
    /// Lets `step` change a table and say whether the change counts. `step`
    /// may be called several times, as other workers get in between; only
    /// the last call counts. `false` if they did so too often, or if `step`
    /// said no.
    fn update_table(&self, table: TableId, step: impl FnMut(&mut Vec<u64>) -> bool) -> bool;
}

/// Names a table of one plan: an index into `Plan::tables`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub u32);

/// Names a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CellId(pub u32);

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// The cell has this new value.
    To(u64),
    /// `step` declined; the cell has this value.
    Kept(u64),
    /// Others got in between too often: nothing was changed. Whoever asked
    /// for permission takes this for a refusal.
    Contended,
}

/// Process-wide blocks of bytes, for state that is larger than a cell.
pub trait Blocks {
    /// Shows `step` the block and writes it back if `step` says so. `step`
    /// may be called several times, as other workers get in between; only
    /// the last call counts. Costs the same whatever is done, so callers do
    /// all they have to do in one go.
    ///
    /// # Errors
    /// [`Contended`]: nothing was changed. Whoever asked for permission takes
    /// this for a refusal.
    fn block<T>(
        &self,
        block: BlockId,
        step: impl FnMut(&mut Vec<u8>) -> Step<T>,
    ) -> Result<T, Contended>;
}

/// Names a block of one plan: an index into `Plan::blocks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockId(pub u32);

/// What becomes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// It stays as it was.
    Keep(T),
    /// What `step` made of it is written back.
    Write(T),
}

/// Others got in between too often, or the block is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contended;
