//! Envoy's view of one exchange, valid while a hook runs.
//!
//! What is read is lent: it lives until the next call that changes anything, which
//! the borrow checker sees to, as readers take `&self` and all others `&mut self`.

use std::marker::PhantomData;
use std::ptr;

use super::callbacks::{self, FilterPtr};
use super::scheduler::Scheduler;
use super::timing;
use super::types::{Attribute, Body, EnvoyBuffer, Map, ModuleBuffer, ModuleHeader, ResetReason};

/// Envoy's filter of one stream.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    pub(super) envoy: FilterPtr,
    /// The request goes on when the hook is over.
    resumes: bool,
    hook: PhantomData<&'a mut ()>,
}

impl Stream<'_> {
    /// # Safety
    /// It is what Envoy has handed to the hook, and is not used after that.
    pub(super) unsafe fn new(envoy: FilterPtr) -> Self {
        Self {
            envoy,
            resumes: false,
            hook: PhantomData,
        }
    }

    /// The first value of a header. For one alone this is cheaper than [`Stream::headers`],
    /// if it is one that Envoy has a place for, as for `:status`.
    pub(crate) fn header(&self, map: Map, name: &str) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the filter is alive during its hook; the name outlives the call, and
        // the result has room. The count may be null.
        let found = unsafe {
            let name = ModuleBuffer::of(name.as_bytes());
            let none = ptr::null_mut();
            callbacks::get_header(self.envoy, map as u32, name, &raw mut value, 0, none)
        };
        // SAFETY: Envoy has written it, and the borrow of `self` ends in time.
        found.then(|| unsafe { value.bytes() })
    }

    /// How many headers there are, each value counted.
    pub(crate) fn header_count(&self, map: Map) -> usize {
        // SAFETY: the filter is alive during its hook.
        unsafe { callbacks::get_headers_size(self.envoy, map as u32) }
    }

    /// Gives a header this one value; `false` if that cannot be, as there is no such
    /// map or a byte is not allowed.
    pub(crate) fn set_header(&mut self, map: Map, name: &[u8], value: &[u8]) -> bool {
        // SAFETY: the filter is alive during its hook; Envoy copies both.
        is_sound(name, value)
            && unsafe {
                let name = ModuleBuffer::of(name);
                callbacks::set_header(self.envoy, map as u32, name, ModuleBuffer::of(value))
            }
    }

    /// Adds a header beside any of that name; `false` as for [`Stream::set_header`].
    pub(crate) fn add_header(&mut self, map: Map, name: &[u8], value: &[u8]) -> bool {
        // SAFETY: the filter is alive during its hook; Envoy copies both.
        is_sound(name, value)
            && unsafe {
                let name = ModuleBuffer::of(name);
                callbacks::add_header(self.envoy, map as u32, name, ModuleBuffer::of(value))
            }
    }

    /// Removes all values of a header, if there are any.
    pub(crate) fn remove_header(&mut self, map: Map, name: &[u8]) -> bool {
        // SAFETY: the filter is alive during its hook; a null value means removal.
        unsafe {
            let name = ModuleBuffer::of(name);
            callbacks::set_header(self.envoy, map as u32, name, ModuleBuffer::NULL)
        }
    }

    /// How many bytes there are.
    pub(crate) fn body_size(&self, body: Body) -> usize {
        // SAFETY: the filter is alive during its hook.
        unsafe { callbacks::get_body_size(self.envoy, body as u32) }
    }

    /// Adds bytes at a body's end; `false` if there is no such body now.
    pub(crate) fn append_body(&mut self, body: Body, bytes: &[u8]) -> bool {
        // SAFETY: the filter is alive during its hook; Envoy copies the bytes.
        unsafe { callbacks::append_body(self.envoy, body as u32, ModuleBuffer::of(bytes)) }
    }

    /// Takes so many bytes away at a body's beginning, or all that there are.
    pub(crate) fn drain_body(&mut self, body: Body, bytes: usize) -> bool {
        // SAFETY: the filter is alive during its hook.
        unsafe { callbacks::drain_body(self.envoy, body as u32, bytes) }
    }

    /// Answers the client. The exchange does not see the hook of this reply.
    pub(crate) fn send_response(
        &mut self,
        status: u16,
        headers: &[(&[u8], &[u8])],
        body: &[u8],
        details: &str,
    ) {
        let headers: Vec<ModuleHeader> = headers.iter().copied().map(ModuleHeader::of).collect();
        let details = ModuleBuffer::of(details.as_bytes());
        // SAFETY: the filter is alive during its hook, and what the call leads to
        // finds the exchange in use (`slot`); Envoy copies headers, body and details.
        unsafe {
            callbacks::send_response(
                self.envoy,
                u32::from(status),
                headers.as_ptr(),
                headers.len(),
                ModuleBuffer::of(body),
                details,
            );
        }
    }

    /// Ends the stream: the client sees it break off.
    pub(crate) fn reset(&mut self, reason: ResetReason, details: &str) {
        // SAFETY: as for `send_response`. Envoy may be done with the stream then, and
        // answers what is still asked of it with nothing.
        unsafe {
            let details = ModuleBuffer::of(details.as_bytes());
            callbacks::reset_stream(self.envoy, reason as u32, details);
        }
    }

    /// Lets a held request go on when this hook is over.
    pub(crate) fn resume_request(&mut self) {
        self.resumes = true;
    }

    /// An attribute that is text.
    pub(crate) fn text(&self, attribute: Attribute) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the filter is alive during its hook, and the result has room.
        let found = unsafe {
            callbacks::get_attribute_string(self.envoy, attribute as u32, &raw mut value)
        };
        // SAFETY: Envoy has written it, and the borrow of `self` ends in time.
        found.then(|| unsafe { value.bytes() })
    }

    /// An attribute that is a number.
    pub(crate) fn number(&self, attribute: Attribute) -> Option<u64> {
        let mut value = 0;
        // SAFETY: the filter is alive during its hook, and the result has room.
        let found =
            unsafe { callbacks::get_attribute_int(self.envoy, attribute as u32, &raw mut value) };
        found.then_some(value)
    }

    /// When the client's request began, if Envoy says so: nanoseconds since 1970. All
    /// exchanges that internal redirects make of it have this in common.
    pub(crate) fn start_ns(&self) -> Option<u64> {
        // SAFETY: the filter is alive during its hook.
        unsafe { timing::start_ns(self.envoy) }
    }

    /// Filter state that is bytes.
    pub(crate) fn filter_state(&self, key: &str) -> Option<&[u8]> {
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: the filter is alive during its hook, and the result has room.
        let found = unsafe {
            let key = ModuleBuffer::of(key.as_bytes());
            callbacks::get_filter_state(self.envoy, key, &raw mut value)
        };
        // SAFETY: Envoy has written it, and the borrow of `self` ends in time.
        found.then(|| unsafe { value.bytes() })
    }

    /// Sets filter state, which access logs can write.
    pub(crate) fn set_filter_state(&mut self, key: &str, value: &[u8]) -> bool {
        // SAFETY: the filter is alive during its hook; Envoy copies both.
        unsafe {
            let key = ModuleBuffer::of(key.as_bytes());
            callbacks::set_filter_state(self.envoy, key, ModuleBuffer::of(value))
        }
    }

    /// What wakes this stream from another thread; `None` if Envoy has none to give.
    pub(crate) fn scheduler(&self) -> Option<Scheduler> {
        Scheduler::new(self.envoy)
    }

    /// Performs what was to wait for the end of the hook.
    ///
    /// # Safety
    /// The hook has given back the exchange: other hooks are called in here.
    pub(super) unsafe fn finish(self) {
        if self.resumes {
            // SAFETY: the filter is alive until its hook ends.
            unsafe { callbacks::continue_decoding(self.envoy) }
        }
    }
}

/// Whether Envoy can take a header: it does not look for bytes that would end it.
fn is_sound(name: &[u8], value: &[u8]) -> bool {
    // All bytes are looked at, several at a time: nearly always none of them is found.
    let ends = |bytes: &[u8]| {
        bytes.iter().fold(false, |found, byte| {
            found | matches!(byte, b'\0' | b'\r' | b'\n')
        })
    };
    !name.is_empty() && !ends(name) && !ends(value)
}
