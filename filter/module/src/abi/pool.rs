//! Reusable memory for exchanges: a worker begins and ends thousands a second.

use std::any::Any;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// The most that a worker keeps. What a burst has taken beyond that goes back to the
/// system when its exchanges end.
const KEPT: usize = 256;

thread_local! {
    static FREE: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Room for one `T`: some that is free, or new.
pub(super) fn take<T: 'static>() -> Box<MaybeUninit<T>> {
    // A thread that ends has no pool any more.
    let free = FREE.try_with(|free| free.borrow_mut().pop());
    let room = free.ok().flatten().and_then(|room| room.downcast().ok());
    room.unwrap_or_else(Box::new_uninit)
}

/// Gives back room that nothing is in any more.
pub(super) fn give<T: 'static>(room: Box<MaybeUninit<T>>) {
    let _ = FREE.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < KEPT {
            free.push(room);
        }
    });
}
