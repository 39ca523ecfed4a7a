//! A condition copies nothing of a value: whatever a client sends, UTF-8 or
//! not, a regex looks at it where it is. Counted by an allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use btp_policy::Regex;

struct Counting;

thread_local! {
    /// What this thread has taken: the test's harness has threads of its own.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn values_that_are_not_utf8_are_not_copied() {
    const LENGTH: usize = 60_000;
    let values = [
        vec![b'a'; LENGTH],
        vec![0xff; LENGTH],
        b"a\x80".repeat(LENGTH / 2),
        "ä".repeat(LENGTH / 2).into_bytes(),
        [vec![b'a'; LENGTH], vec![0xe2, 0x82]].concat(),
    ];
    for pattern in [".*", ".*x", r"[^\x{fffd}]*|b", "[a-z]+"] {
        let regex = Regex::new(pattern).unwrap();
        for value in &values {
            let before = TAKEN.get();
            let matches = regex.is_match(value);
            let taken = TAKEN.get() - before;
            assert_eq!(taken, 0, "{pattern}, {matches}: {:?}", value.get(..4));
        }
    }
}
