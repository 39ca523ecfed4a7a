//! How often a thread of the module has called Envoy, by callback: feature
//! `planted-panics`, for the tests.

use std::cell::Cell;

/// A callback, and its calls; without a name for as long as none is counted here.
type Count = Cell<(&'static str, u64)>;

/// Callbacks that can be counted.
pub(super) const MOST: usize = 64;

thread_local! {
    static CALLS: [Count; MOST] = const { [const { Cell::new(("", 0)) }; MOST] };
    /// A test's own calls are not the filter's.
    static IS_COUNTED: Cell<bool> = const { Cell::new(true) };
}

/// Tells the calls of this thread so far.
pub(crate) fn each_call(mut tell: impl FnMut(&'static str, u64)) {
    CALLS.with(|calls| {
        let counts = calls.iter().map(Cell::get);
        for (callback, count) in counts.filter(|(_, count)| *count > 0) {
            tell(callback, count);
        }
    });
}

/// Does this without counting its calls.
pub(crate) fn uncounted<R>(act: impl FnOnce() -> R) -> R {
    let was_counted = IS_COUNTED.replace(false);
    let result = act();
    IS_COUNTED.set(was_counted);
    result
}

/// Envoy is called. It allocates nothing, as allocations are counted, too.
pub(super) fn count(callback: &'static str) {
    if IS_COUNTED.get() {
        CALLS.with(|calls| {
            let is_its = |it: &&Count| it.get().0 == callback || it.get().0.is_empty();
            if let Some(its) = calls.iter().find(is_its) {
                its.set((callback, its.get().1 + 1));
            }
        });
    }
}
