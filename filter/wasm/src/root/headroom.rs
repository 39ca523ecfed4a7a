//! Reserves memory in a way that can fail.
//!
//! A failed allocation traps, and a trap during the load of a configuration removes the
//! filter from its worker. So the room is reserved first, and released at once: nothing
//! else runs in this VM before it is used. The error path needs a little memory itself,
//! which is kept aside between the loads: the ballast.

use std::cell::RefCell;
use std::hint::black_box;

/// Bytes kept aside: enough for all that is done without a configuration, with
/// the two shared values that it reads (64 KiB at most).
const BALLAST: usize = 256 << 10;
/// Room in pieces, as WebAssembly memory in use has it; one is larger.
const PIECE: usize = 64 << 10;

thread_local! {
    static KEPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Gives the ballast up, so that what follows does not lack memory.
pub(crate) fn drop_ballast() {
    KEPT.take();
}

/// Keeps the ballast again, as much of it as there is.
pub(crate) fn take_ballast() {
    let mut size = BALLAST;
    while size >= PIECE / 4 {
        let mut ballast = Vec::new();
        if ballast.try_reserve_exact(size).is_ok() {
            KEPT.set(ballast);
            return;
        }
        size /= 2;
    }
}

/// Whether there are `total` bytes to be had, `in_one` of them in one piece.
pub(crate) fn has_room(in_one: usize, total: u64) -> bool {
    let Ok(total) = usize::try_from(total) else {
        return false;
    };
    let pieces = total.saturating_sub(in_one).div_ceil(PIECE);
    let mut room: Vec<Vec<u8>> = Vec::new();
    if room.try_reserve_exact(pieces.saturating_add(1)).is_err() {
        return false;
    }
    for size in std::iter::once(in_one).chain(std::iter::repeat_n(PIECE, pieces)) {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(size).is_err() {
            return false;
        }
        // Or the compiler takes out what nobody reads, and says there is room.
        room.push(black_box(piece));
    }
    black_box(&room);
    true
}
