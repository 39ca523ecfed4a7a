//! Which configuration or exchange a callback is about, by the number that
//! Envoy gave it.
//!
//! This stands in the place of the SDK's dispatcher, which keeps an exchange
//! until its end, whatever there is left to do. Here an exchange is forgotten
//! as soon as nothing of it matters any more: what Envoy still calls for it
//! finds nothing, and goes on.

use std::cell::RefCell;

use btp_engine::Flow;
use hashbrown::HashMap;

use crate::probe;
use crate::root::Root;
use crate::stream::Stream;

thread_local! {
    static ROOTS: RefCell<HashMap<u32, Root>> = RefCell::default();
    static STREAMS: RefCell<HashMap<u32, Stream>> = RefCell::default();
}

/// Envoy begins a configuration (`root` is 0), or an exchange under `root`.
pub(crate) fn create(context: u32, root: u32) {
    if root == 0 {
        ROOTS.with_borrow_mut(|roots| roots.insert(context, Root::default()));
        return;
    }
    let shared = ROOTS.with_borrow(|roots| roots.get(&root)?.shared());
    if let Some(shared) = shared {
        let stream = Stream::new(context, shared);
        STREAMS.with_borrow_mut(|streams| streams.insert(context, stream));
    }
}

/// Loads a configuration of so many bytes; whether it is accepted.
pub(crate) fn configure(root: u32, size: usize) -> bool {
    // What is denied here is denied in the canary, which is asked first.
    if let Err(reason) = probe::hostcalls() {
        log::error!("configuration refused: {reason}");
        return false;
    }
    ROOTS.with_borrow_mut(|roots| {
        roots
            .get_mut(&root)
            .is_some_and(|root| root.configure(size))
    })
}

/// The timer of a configuration has come.
pub(crate) fn tick(root: u32) {
    let shared = ROOTS.with_borrow(|roots| roots.get(&root)?.shared());
    if let Some(shared) = shared {
        shared.tick();
    }
}

/// An event of an exchange.
pub(crate) fn event(context: u32, feed: impl FnOnce(&mut Stream) -> Flow) -> Flow {
    STREAMS.with_borrow_mut(|streams| {
        let Some(stream) = streams.get_mut(&context) else {
            return Flow::Continue;
        };
        let flow = feed(stream);
        if stream.is_over() {
            streams.remove(&context);
        }
        flow
    })
}

/// A configuration or an exchange ends. Envoy deletes it right after this,
/// so that there is no need to be called again for that.
pub(crate) fn done(context: u32) {
    let stream = STREAMS.with_borrow_mut(|streams| streams.remove(&context));
    if let Some(mut stream) = stream {
        stream.done();
    } else {
        ROOTS.with_borrow_mut(|roots| roots.remove(&context));
    }
}
