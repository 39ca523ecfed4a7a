//! Random numbers: from the operating system where nobody may guess them, and from
//! each thread's own generator where it is only about fairness.

use std::cell::RefCell;

use btp_policy::hash::SplitMix64;

thread_local! {
    /// Without entropy all threads draw the same numbers, and still fairly.
    static GENERATOR: RefCell<SplitMix64> = RefCell::new(SplitMix64::new(secret().unwrap_or(0)));
}

/// 64 uniformly random bits.
pub(crate) fn next() -> u64 {
    GENERATOR.with_borrow_mut(SplitMix64::draw)
}

/// 64 unpredictable bits; `None` if the system has none.
pub(crate) fn secret() -> Option<u64> {
    getrandom::u64().ok()
}
