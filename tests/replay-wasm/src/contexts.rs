//! Which script an exchange replays, by the number that Envoy gave it. Tables of a fixed
//! size, so that to look a script up costs next to nothing.

use std::cell::{Cell, RefCell};
use std::process;

use crate::script::{Callback, Script};

/// An exchange and its script.
type Slot = Cell<(u32, Option<&'static Script>)>;

/// Envoy counts exchanges: one has a slot until so many others have begun.
const SLOTS: usize = 4096;

thread_local! {
    /// By the number of the plugin's context.
    static ROOTS: RefCell<Vec<Option<&'static Script>>> = const { RefCell::new(Vec::new()) };
    static EXCHANGES: [Slot; SLOTS] = const { [const { Cell::new((0, None)) }; SLOTS] };
}

/// Gives a plugin its script, for good: none is configured anew in a benchmark.
pub(crate) fn configure(root: u32, script: Script) {
    let index = root as usize;
    ROOTS.with_borrow_mut(|roots| {
        if roots.len() <= index {
            roots.resize(index + 1, None);
        }
        roots[index] = Some(Box::leak(Box::new(script)));
    });
}

/// Whether this is the context of a plugin.
pub(crate) fn is_root(context: u32) -> bool {
    ROOTS.with_borrow(|roots| matches!(roots.get(context as usize), Some(Some(_))))
}

/// An exchange begins.
pub(crate) fn begin(context: u32, root: u32) {
    let script = ROOTS.with_borrow(|roots| roots.get(root as usize).copied().flatten());
    slot(context, |slot| slot.set((context, script)));
}

/// Makes the calls of a callback. A replay of anything else than the script would
/// be measured as if it were right, so the VM ends if there is no script.
pub(crate) fn replay(context: u32, callback: Callback) {
    match slot(context, Cell::get) {
        (known, Some(script)) if known == context => script.replay(callback),
        _ => process::abort(),
    }
}

fn slot<T>(context: u32, act: impl FnOnce(&Slot) -> T) -> T {
    EXCHANGES.with(|exchanges| act(&exchanges[context as usize % SLOTS]))
}
