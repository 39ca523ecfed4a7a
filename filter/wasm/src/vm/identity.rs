//! This worker's VM: its name among the others, and its memory.

use std::cell::OnceCell;

use crate::abi;

const PAGE: u64 = 64 << 10;

thread_local! {
    static ID: OnceCell<u64> = const { OnceCell::new() };
}

/// A random number that tells this VM from the others; not 0.
pub(crate) fn id() -> u64 {
    let draw = || getrandom::u64().unwrap_or_else(|_| abi::monotonic_ns());
    ID.with(|id| *id.get_or_init(|| draw().max(1)))
}

/// The bytes of its memory, which never shrinks.
pub(crate) fn memory() -> u64 {
    let pages = core::arch::wasm32::memory_size::<0>();
    u64::try_from(pages)
        .unwrap_or(u64::MAX)
        .saturating_mul(PAGE)
}
