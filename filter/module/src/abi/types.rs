//! Types of the ABI: buffers and headers as C has them, and its numbers.

use std::ptr;
use std::slice;

/// Bytes of Envoy's, which it lends.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct EnvoyBuffer {
    ptr: *const u8,
    length: usize,
}

/// Bytes of the module's, which it lends for one call.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct ModuleBuffer {
    ptr: *const u8,
    length: usize,
}

/// A header of Envoy's.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct EnvoyHeader {
    key_ptr: *const u8,
    key_length: usize,
    value_ptr: *const u8,
    value_length: usize,
}

/// A header of the module's.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct ModuleHeader {
    key_ptr: *const u8,
    key_length: usize,
    value_ptr: *const u8,
    value_length: usize,
}

/// Header maps of a stream; there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Map {
    RequestHeaders = 0,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
}

/// Bodies of a stream, of which there are more. What was received is there in the
/// body's hook alone, and is this piece alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Body {
    ReceivedRequest = 0,
    ReceivedResponse = 2,
}

/// Attributes of a stream; there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Attribute {
    RequestProtocol = 10,
    ResponseCodeDetails = 16,
    SourceAddress = 24,
    UpstreamAddress = 41,
    UpstreamRequestAttemptCount = 53,
    XdsClusterName = 57,
    XdsRouteName = 61,
}

/// Whose metadata; there are more, but no virtual host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum MetadataSource {
    Dynamic = 0,
    Route = 1,
    Cluster = 2,
}

/// Levels of Envoy's log; there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// How Envoy treats headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum HeadersFlow {
    Continue = 0,
    /// The headers stay here; the body comes to the body's hook.
    StopIteration = 1,
    /// All stays here, and the sender is slowed down when the buffer is full.
    StopAllAndWatermark = 4,
}

/// How Envoy treats a piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum BodyFlow {
    Continue = 0,
    /// It is kept, and more than the buffer takes is refused with 413.
    StopAndBuffer = 1,
    /// It is kept, and the sender is slowed down when the buffer is full.
    StopAndWatermark = 2,
    /// It is thrown away.
    StopNoBuffer = 3,
}

/// How Envoy treats trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum TrailersFlow {
    Continue = 0,
    Stop = 1,
}

/// How Envoy treats a local reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum LocalReplyFlow {
    Continue = 0,
}

/// Why the module resets a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ResetReason {
    Local = 0,
}

/// What metrics' callbacks return; 0 is success.
pub(super) const SUCCESS: u32 = 0;

impl EnvoyBuffer {
    pub(super) const EMPTY: Self = Self {
        ptr: ptr::null(),
        length: 0,
    };

    /// # Safety
    /// The buffer is empty or was written by Envoy, and `'a` ends before the hook
    /// and before the next call that changes what the bytes belong to.
    pub(super) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: as the caller promises.
        unsafe { bytes(self.ptr, self.length) }
    }
}

impl ModuleBuffer {
    /// In the place of a value that is not there.
    pub(super) const NULL: Self = Self {
        ptr: ptr::null(),
        length: 0,
    };

    /// The bytes must outlive the call that it is made for: all callbacks copy what
    /// they keep.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            length: bytes.len(),
        }
    }
}

impl EnvoyHeader {
    pub(super) fn name_length(&self) -> usize {
        self.key_length
    }

    /// # Safety
    /// As for [`EnvoyBuffer::bytes`].
    pub(super) unsafe fn pair<'a>(&self) -> (&'a [u8], &'a [u8]) {
        // SAFETY: as the caller promises.
        unsafe {
            (
                bytes(self.key_ptr, self.key_length),
                bytes(self.value_ptr, self.value_length),
            )
        }
    }
}

impl ModuleHeader {
    /// As for [`ModuleBuffer::of`].
    pub(super) fn of((name, value): (&[u8], &[u8])) -> Self {
        Self {
            key_ptr: name.as_ptr(),
            key_length: name.len(),
            value_ptr: value.as_ptr(),
            value_length: value.len(),
        }
    }
}

/// # Safety
/// As for [`EnvoyBuffer::bytes`].
unsafe fn bytes<'a>(ptr: *const u8, length: usize) -> &'a [u8] {
    // An empty string of Envoy's may have no address at all.
    if ptr.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: Envoy points to so many bytes of its own, as the caller promises.
    unsafe { slice::from_raw_parts(ptr, length) }
}
