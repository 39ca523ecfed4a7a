//! Which configuration or exchange a callback is about, by the number that
//! Envoy gave it.
//!
//! This stands in the place of the SDK's dispatcher, which keeps an exchange
//! until its end, whatever there is left to do. Here an exchange is forgotten
//! as soon as nothing of it matters any more: what Envoy still calls for it
//! finds nothing, and goes on.

use std::cell::RefCell;
use std::rc::Rc;

use btp_engine::Flow;
use hashbrown::HashMap;

use crate::memory;
use crate::root::{Root, Shared};
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
        memory::look(|| shared.random.next());
        let stream = Stream::new(context, shared);
        STREAMS.with_borrow_mut(|streams| streams.insert(context, stream));
    }
}

/// Loads a configuration of so many bytes; whether it is accepted.
pub(crate) fn configure(root: u32, size: usize) -> bool {
    let accepted = ROOTS.with_borrow_mut(|roots| {
        roots
            .get_mut(&root)
            .is_some_and(|root| root.configure(size))
    });
    if accepted {
        retire_others(root);
    }
    accepted
}

/// A new configuration may take the place of another, which then has no
/// requests to come. Envoy does not say of which; the others take again what
/// they give back now.
fn retire_others(new: u32) {
    let others: Vec<Rc<Shared>> = ROOTS.with_borrow(|roots| {
        let others = roots.iter().filter(|(root, _)| **root != new);
        others.filter_map(|(_, root)| root.shared()).collect()
    });
    others.iter().for_each(|shared| shared.retire());
}

/// The timer of a configuration has come.
pub(crate) fn tick(root: u32) {
    let shared = ROOTS.with_borrow(|roots| roots.get(&root)?.shared());
    if let Some(shared) = shared {
        shared.tick();
    }
}

/// An event of an exchange.
///
/// The streams are borrowed while `feed` makes hostcalls. None of these calls
/// back: Envoy performs what could (replies, the end of a stream, a request
/// that goes on) when the callback at hand is over. `tests/tests/deferred.rs`
/// sees to it that this stays so.
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
        // Its last exchange has ended before.
        let root = ROOTS.with_borrow_mut(|roots| roots.remove(&context));
        if let Some(shared) = root.and_then(|root| root.shared()) {
            shared.retire();
        }
    }
}
