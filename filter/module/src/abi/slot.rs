//! Objects to which Envoy keeps a pointer: a configuration, and an exchange under it.
//!
//! Envoy may call back while a hook runs. A reply calls the hook `local_reply`, a request
//! that goes on may be answered at once, and up to 1.39 a reset destroys the filter before
//! it returns. An exchange that is in use is not entered again, and one that is destroyed
//! meanwhile is dropped when its last hook is over.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::callbacks::FilterPtr;
use super::config::CounterId;
use super::guard::guarded;
use super::http_filter::HttpFilter;
use super::pool;
use super::stream::Stream;

/// A configuration in force.
pub(super) struct Loaded<F: HttpFilter> {
    pub(super) config: Arc<F::Config>,
    /// Caught panics; `None` if Envoy has refused the counter.
    pub(super) panics: Option<CounterId>,
}

/// One exchange.
pub(super) struct Slot<F: HttpFilter> {
    /// `None` after a panic, and of an idle one.
    exchange: RefCell<Option<F::Exchange>>,
    /// There is nothing to do for it: it passes.
    is_idle: bool,
    /// A panic is still to be answered for.
    owes_answer: Cell<bool>,
    /// So many hooks are on the stack.
    depth: Cell<u32>,
    /// Envoy has destroyed it while hooks were on the stack.
    is_destroyed: Cell<bool>,
}

/// What entering an exchange came to.
pub(super) enum Entered<R> {
    Done(R),
    /// It has panicked just now, and was answered for.
    Panicked,
    /// There is nothing to do for it.
    Idle,
    /// It has panicked earlier, or is in use: what Envoy asks now is about our own reply.
    Absent,
}

/// Whether a panic in a hook can be answered with a reply.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Reply,
    Nothing,
}

impl<F: HttpFilter> Loaded<F> {
    /// To be handed to Envoy, who gives it back to [`Loaded::destroy`].
    pub(super) fn into_envoy(self) -> *const c_void {
        Box::into_raw(Box::new(self)).cast()
    }

    /// # Safety
    /// `config` came from [`Loaded::into_envoy`] of the same type, and is not destroyed
    /// before `'a` ends.
    pub(super) unsafe fn borrow<'a>(config: *const c_void) -> &'a Self {
        // SAFETY: as the caller promises.
        unsafe { &*config.cast::<Self>() }
    }

    /// # Safety
    /// As for [`Loaded::borrow`], and nobody uses it any more.
    pub(super) unsafe fn destroy(config: *const c_void) {
        // SAFETY: as the caller promises.
        let config = unsafe { Box::from_raw(config.cast::<Self>().cast_mut()) };
        guarded("config_destroy", || drop(config));
    }
}

impl<F: HttpFilter> Slot<F> {
    /// An exchange, or none if it panics when it begins. To be handed to Envoy, who
    /// gives it back to [`Slot::destroy`]. `what` is for the log.
    pub(super) fn begin(what: &str, begin: impl FnOnce() -> F::Exchange) -> *const c_void {
        let mut slot = Self::empty(false);
        // Made where it stays: it is large.
        let exchange = slot.exchange.get_mut();
        let begun = guarded(what, || *exchange = Some(begin()));
        slot.owes_answer.set(begun.is_none());
        Box::into_raw(slot).cast()
    }

    /// The place of an exchange for which there is nothing to do. For Envoy, as the others.
    pub(super) fn idle() -> *const c_void {
        Box::into_raw(Self::empty(true)).cast()
    }

    fn empty(is_idle: bool) -> Box<Self> {
        let slot = Self {
            exchange: RefCell::new(None),
            is_idle,
            owes_answer: Cell::new(false),
            depth: Cell::new(0),
            is_destroyed: Cell::new(false),
        };
        Box::write(pool::take(), slot)
    }

    /// Lets the exchange act, and performs then what it has left for the end of the
    /// hook. `what` is for the log.
    ///
    /// # Safety
    /// Envoy has just called a hook with both pointers: `slot` came from
    /// [`Slot::into_envoy`] of the same type and was not destroyed before.
    pub(super) unsafe fn enter<R>(
        envoy: FilterPtr,
        slot: *const c_void,
        what: &str,
        answer: Answer,
        act: impl FnOnce(&mut F::Exchange, &mut Stream<'_>) -> R,
    ) -> Entered<R> {
        let pointer = slot.cast::<Self>();
        // SAFETY: as the caller promises. A stream's hooks run on one thread.
        let slot = unsafe { &*pointer };
        if slot.is_idle {
            return Entered::Idle;
        }
        slot.depth.set(slot.depth.get() + 1);
        // SAFETY: as the caller promises; it is dropped before the hook ends.
        let mut stream = unsafe { Stream::new(envoy) };
        let mut entered = slot.act(&mut stream, what, act);
        if slot.owes_answer.take() && answer == Answer::Reply {
            stream.send_response(500, &[], b"internal error\n", "btp_panic");
            entered = Entered::Panicked;
        }
        if matches!(entered, Entered::Done(_)) {
            // SAFETY: the exchange is not borrowed any more.
            unsafe { stream.finish() };
        }
        slot.depth.set(slot.depth.get() - 1);
        if slot.depth.get() == 0 && slot.is_destroyed.get() {
            // SAFETY: Envoy has given it up, no other hook of it is on the stack, and
            // `slot` is not used again.
            unsafe { Self::drop(pointer) };
        }
        entered
    }

    /// Drops the exchange, or has the hooks that use it do so.
    ///
    /// # Safety
    /// As for [`Slot::enter`]; Envoy does not use it any more.
    pub(super) unsafe fn destroy(slot: *const c_void) {
        let pointer = slot.cast::<Self>();
        // SAFETY: as the caller promises.
        let slot = unsafe { &*pointer };
        if slot.depth.get() > 0 {
            slot.is_destroyed.set(true);
        } else {
            // SAFETY: nobody uses it, and `slot` is not used again.
            unsafe { Self::drop(pointer) };
        }
    }

    fn act<R>(
        &self,
        stream: &mut Stream<'_>,
        what: &str,
        act: impl FnOnce(&mut F::Exchange, &mut Stream<'_>) -> R,
    ) -> Entered<R> {
        let Ok(mut held) = self.exchange.try_borrow_mut() else {
            return Entered::Absent;
        };
        let Some(exchange) = held.as_mut() else {
            return Entered::Absent;
        };
        if let Some(result) = guarded(what, || act(exchange, stream)) {
            return Entered::Done(result);
        }
        self.owes_answer.set(true);
        // What it leaves half done is for its destructor to give back.
        let broken = held.take();
        guarded("the end of what has panicked", || drop(broken));
        Entered::Panicked
    }

    /// # Safety
    /// It came from [`Slot::into_envoy`], and nobody uses it any more.
    unsafe fn drop(pointer: *const Self) {
        let pointer = pointer.cast_mut();
        // SAFETY: as the caller promises. After a panic what is left of it leaks.
        guarded("destroy", || unsafe { pointer.drop_in_place() });
        // SAFETY: it came from a box, and what was in it has just been dropped.
        pool::give(unsafe { Box::from_raw(pointer.cast::<MaybeUninit<Self>>()) });
    }
}
