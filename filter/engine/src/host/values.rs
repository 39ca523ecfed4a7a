//! Values that all workers share: tables and blocks.
//!
//! Tables are short lists of words, blocks are bytes; both are changed by
//! compare-and-swap: shared key-value data in a WebAssembly host, behind a lock
//! in a native one.

/// Process-wide tables of words, empty at first.
pub trait Tables {
    /// Lets `step` change a table and say whether the change counts. `step`
    /// may be called several times, as other workers get in between; only
    /// the last call counts. `false` if they did so too often, or if `step`
    /// said no.
    fn update_table(&self, table: TableId, step: impl FnMut(&mut Vec<u64>) -> bool) -> bool;
}

/// Names a table of one plan: a number of `Plan::tables`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub u32);

/// Process-wide blocks of bytes, for state that is larger than a table.
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

/// Names a block of one plan: a number of `Plan::blocks`.
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

/// The words of a shared value; what is no whole word is left out.
#[must_use]
pub fn to_words(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.as_chunks().0.iter().copied();
    words.map(u64::from_le_bytes).collect()
}

/// The shared value of these words.
#[must_use]
pub fn to_bytes(words: &[u64]) -> Vec<u8> {
    words.iter().copied().flat_map(u64::to_le_bytes).collect()
}
