//! The proxy-wasm ABI 0.2.1, both ways: every hostcall the adapter makes,
//! and every callback that Envoy makes.
//!
//! The SDK's own wrappers panic on a status they do not expect, and a panic
//! costs the worker its VM. These return what the host said. The callbacks
//! `btp_on_*` take the place of the SDK's `proxy_on_*` in the finished module
//! (`cargo xtask build` renames them). This is the only file with `unsafe` in
//! it.
//!
//! Source: the proxy-wasm specification, `abi-versions/v0.2.1`.
#![allow(unsafe_code)]

use std::ptr;

use btp_engine::Flow;

use crate::pairs::serialize;

/// The host refused a hostcall, with this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostError(pub(crate) u32);

/// Header maps that the host keeps for the current stream.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Map {
    RequestHeaders = 0,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
}

/// Buffers that the host keeps.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Buffer {
    ResponseBody = 1,
    PluginConfiguration = 7,
}

/// What Envoy calls: [`callbacks!`] exports it. Contexts are numbers that Envoy
/// gives to configurations and to exchanges.
pub(crate) trait Callbacks {
    /// A configuration (`root` is 0) or an exchange under `root` begins.
    fn create(context: u32, root: u32);
    /// A configuration has so many bytes; whether it is accepted.
    fn configure(root: u32, size: usize) -> bool;
    /// The timer of a configuration has come.
    fn tick(root: u32);
    /// Request headers, which may be the end of the request.
    fn request_headers(context: u32, end: bool) -> Flow;
    /// So many bytes of the request's body, those held before included.
    fn request_body(context: u32, size: usize, end: bool) -> Flow;
    /// Request trailers.
    fn request_trailers(context: u32) -> Flow;
    /// Response headers, which may be the end of the response.
    fn response_headers(context: u32, end: bool) -> Flow;
    /// So many bytes of the response's body.
    fn response_body(context: u32, size: usize) -> Flow;
    /// Response trailers.
    fn response_trailers(context: u32) -> Flow;
    /// A configuration or an exchange ends.
    fn done(context: u32);
}

/// Exports the callbacks of a type. A macro, so that this file need not know
/// whom it calls.
macro_rules! callbacks {
    ($callbacks:ty) => {
        #[allow(unsafe_code)]
        mod exports {
            use $crate::abi::{Callbacks, code, headers_code};

            type Called = $callbacks;

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_context_create(context: u32, root: u32) {
                Called::create(context, root);
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_configure(root: u32, size: usize) -> u32 {
                u32::from(Called::configure(root, size))
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_tick(root: u32) {
                Called::tick(root);
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_request_headers(context: u32, _headers: usize, end: u32) -> u32 {
                headers_code(Called::request_headers(context, end != 0))
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_request_body(context: u32, size: usize, end: u32) -> u32 {
                code(Called::request_body(context, size, end != 0))
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_request_trailers(context: u32, _trailers: usize) -> u32 {
                code(Called::request_trailers(context))
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_response_headers(context: u32, _headers: usize, end: u32) -> u32 {
                headers_code(Called::response_headers(context, end != 0))
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_response_body(context: u32, size: usize, _end: u32) -> u32 {
                code(Called::response_body(context, size))
            }

            #[unsafe(no_mangle)]
            extern "C" fn btp_on_response_trailers(context: u32, _trailers: usize) -> u32 {
                code(Called::response_trailers(context))
            }

            /// Says that all is done, so that Envoy deletes the context at once.
            #[unsafe(no_mangle)]
            extern "C" fn btp_on_done(context: u32) -> u32 {
                Called::done(context);
                1
            }
        }
    };
}
pub(crate) use callbacks;

const OK: u32 = 0;
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;
const REQUEST_STREAM: u32 = 0;
const WALL_CLOCK: u32 = 0;
const MONOTONIC_CLOCK: u32 = 1;
const NO_GRPC_STATUS: u32 = u32::MAX;

const CONTINUE: u32 = 0;
const STOP_ITERATION: u32 = 1;
/// Hold headers, body and trailers, with back-pressure.
const STOP_ALL_ITERATION_AND_WATERMARK: u32 = 4;

mod imports {
    unsafe extern "C" {
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(
            map: u32,
            pairs: *mut *mut u8,
            pairs_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_add_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_set_header_map_pairs(map: u32, pairs: *const u8, size: usize) -> u32;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_buffer_bytes(
            buffer: u32,
            start: usize,
            size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: u32,
        ) -> u32;
        pub(super) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_close_stream(stream: u32) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            name_size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, offset: i64) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub(super) fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    }
}

mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
        pub(super) fn random_get(bytes: *mut u8, size: usize) -> u32;
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
}}

/// The number by which the ABI knows what becomes of headers.
pub(crate) fn headers_code(flow: Flow) -> u32 {
    match flow {
        Flow::HoldAll => STOP_ALL_ITERATION_AND_WATERMARK,
        flow => code(flow),
    }
}

/// The same for a body and trailers.
pub(crate) fn code(flow: Flow) -> u32 {
    match flow {
        Flow::Continue => CONTINUE,
        Flow::HoldAll | Flow::HoldHeaders | Flow::Stop => STOP_ITERATION,
    }
}

/// The first value of a header; `None` if there is no such header.
pub(crate) fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    let mut value = HostBuffer::new();
    // SAFETY: pointers and lengths describe live memory.
    let status = unsafe {
        imports::proxy_get_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            &raw mut value.data,
            &raw mut value.size,
        )
    };
    value.take(status)
}

/// All headers, as a pairs block.
pub(crate) fn headers(map: Map) -> Option<Vec<u8>> {
    let mut block = HostBuffer::new();
    // SAFETY: pointers describe live memory.
    let status = unsafe {
        imports::proxy_get_header_map_pairs(map as u32, &raw mut block.data, &raw mut block.size)
    };
    block.take(status)
}

/// Adds a header beside any of that name.
pub(crate) fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths describe live memory.
    check(unsafe {
        imports::proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes all values of a header, if there are any.
pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointer and length describe live memory.
    check(unsafe { imports::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Gives a header this one value.
pub(crate) fn set_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths describe live memory.
    check(unsafe {
        imports::proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Replaces a header map by `pairs`.
pub(crate) fn set_headers(map: Map, pairs: &[(&[u8], &[u8])]) -> Result<(), HostError> {
    let pairs = serialize(pairs);
    // SAFETY: pointer and length describe live memory.
    check(unsafe { imports::proxy_set_header_map_pairs(map as u32, pairs.as_ptr(), pairs.len()) })
}

/// An attribute, identified by a NUL-separated path; `None` if it is not there.
pub(crate) fn property(path: &str) -> Option<Vec<u8>> {
    let mut value = HostBuffer::new();
    // SAFETY: pointers and lengths describe live memory.
    let status = unsafe {
        imports::proxy_get_property(
            path.as_ptr(),
            path.len(),
            &raw mut value.data,
            &raw mut value.size,
        )
    };
    value.take(status)
}

/// Gives the current stream a property: filter state `wasm.<name>`.
pub(crate) fn set_property(name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths describe live memory.
    check(unsafe {
        imports::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// The bytes of a buffer.
pub(crate) fn buffer(buffer: Buffer, max_size: usize) -> Option<Vec<u8>> {
    let mut value = HostBuffer::new();
    // SAFETY: pointers and lengths describe live memory.
    let status = unsafe {
        imports::proxy_get_buffer_bytes(
            buffer as u32,
            0,
            max_size,
            &raw mut value.data,
            &raw mut value.size,
        )
    };
    value.take(status)
}

/// Replaces the first `size` bytes of a buffer.
pub(crate) fn set_buffer(buffer: Buffer, size: usize, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointer and length describe live memory.
    check(unsafe {
        imports::proxy_set_buffer_bytes(buffer as u32, 0, size, value.as_ptr(), value.len())
    })
}

/// Answers the current stream's client.
pub(crate) fn send_local_response(
    status: u16,
    details: &str,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
    grpc_status: Option<u8>,
) -> Result<(), HostError> {
    let headers = serialize(headers);
    // SAFETY: pointers and lengths describe live memory.
    check(unsafe {
        imports::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status.map_or(NO_GRPC_STATUS, u32::from),
        )
    })
}

/// A value of the data that all workers share, and its version; `None` if
/// there is no such key.
pub(crate) fn shared_data(key: &str) -> Option<(Vec<u8>, u32)> {
    let mut value = HostBuffer::new();
    let mut cas = 0;
    // SAFETY: pointers and lengths describe live memory.
    let status = unsafe {
        imports::proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &raw mut value.data,
            &raw mut value.size,
            &raw mut cas,
        )
    };
    value.take(status).map(|value| (value, cas))
}

/// Sets a shared value if it still has the version `cas`; a key that does
/// not exist is created whatever `cas` says. Keys are never freed.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), HostError> {
    // SAFETY: pointers and lengths describe live memory.
    check(unsafe {
        imports::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    })
}

/// Lets the current stream's held request go on.
pub(crate) fn continue_request() -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    check(unsafe { imports::proxy_continue_stream(REQUEST_STREAM) })
}

/// Ends the current stream: the client sees it break off.
pub(crate) fn close_stream() -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    check(unsafe { imports::proxy_close_stream(REQUEST_STREAM) })
}

/// Nanoseconds of the host's monotonic clock, which all workers share; the
/// standard library's `Instant` keeps them to itself.
pub(crate) fn monotonic_ns() -> u64 {
    clock(MONOTONIC_CLOCK)
}

/// Nanoseconds since 1970 (UTC).
pub(crate) fn wall_ns() -> u64 {
    clock(WALL_CLOCK)
}

/// 0 if there is no such clock.
fn clock(clock: u32) -> u64 {
    let mut time = 0;
    // SAFETY: the pointer is to a live u64.
    let status = unsafe { wasi::clock_time_get(clock, 1, &raw mut time) };
    if status == OK { time } else { 0 }
}

/// Makes `context` the stream that hostcalls are about.
pub(crate) fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    check(unsafe { imports::proxy_set_effective_context(context) })
}

/// Sets the one timer of this configuration; 0 stops it. Each call starts a
/// new period.
pub(crate) fn set_tick_period(millis: u32) -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    check(unsafe { imports::proxy_set_tick_period_milliseconds(millis) })
}

/// Defines a counter, or finds the one of that name.
pub(crate) fn define_counter(name: &str) -> Result<u32, HostError> {
    define(COUNTER, name)
}

/// Defines a gauge, or finds the one of that name.
pub(crate) fn define_gauge(name: &str) -> Result<u32, HostError> {
    define(GAUGE, name)
}

/// Defines a histogram, or finds the one of that name.
pub(crate) fn define_histogram(name: &str) -> Result<u32, HostError> {
    define(HISTOGRAM, name)
}

fn define(kind: u32, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: pointers and lengths describe live memory.
    check(unsafe { imports::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Changes a gauge by so much.
pub(crate) fn adjust(id: u32, by: i64) -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    check(unsafe { imports::proxy_increment_metric(id, by) })
}

/// Adds to a counter.
pub(crate) fn increment(id: u32, amount: u64) -> Result<(), HostError> {
    let offset = i64::try_from(amount).unwrap_or(i64::MAX);
    // SAFETY: no memory is passed.
    check(unsafe { imports::proxy_increment_metric(id, offset) })
}

/// Makes a gauge this number, or puts it into a histogram.
pub(crate) fn record(id: u32, to: u64) -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    check(unsafe { imports::proxy_record_metric(id, to) })
}

/// The value of a metric.
pub(crate) fn metric(id: u32) -> Result<u64, HostError> {
    let mut value = 0;
    // SAFETY: the pointer is to a live u64.
    check(unsafe { imports::proxy_get_metric(id, &raw mut value) })?;
    Ok(value)
}

/// Whether this is what a hostcall returns that
/// `capability_restriction_config` denies: `InternalFailure`, and `ENOTCAPABLE`
/// of WASI.
pub(crate) fn is_denied(status: u32) -> bool {
    matches!(status, 10 | 76)
}

/// Every hostcall that the filter makes, and what it returns to arguments
/// that make no sense: memory that is not there, a map, buffer, metric, stream
/// or context of no such number. So none has an effect, but that the timer of
/// this configuration is stopped. Neither [`is_denied`] status comes from a
/// call that is allowed.
///
/// Left out is `proxy_log`: Envoy itself names it when it is denied.
pub(crate) fn tried() -> [(&'static str, u32); 23] {
    const NONE: u32 = u32::MAX;
    let nowhere: *mut u8 = ptr::without_provenance_mut(usize::MAX);
    let (mut data, mut size) = (ptr::null_mut(), 0);
    let (data, size) = (&raw mut data, &raw mut size);
    let (mut number, mut cas) = (0_u64, 0_u32);
    let (number, cas) = (&raw mut number, &raw mut cas);
    // SAFETY: the host checks all memory it is told of: it writes to what is
    // live here, and refuses `nowhere`, which it reads from or writes to.
    unsafe {
        use imports as host;
        [
            (
                "proxy_get_header_map_value",
                host::proxy_get_header_map_value(NONE, nowhere, 1, data, size),
            ),
            (
                "proxy_get_header_map_pairs",
                host::proxy_get_header_map_pairs(NONE, data, size),
            ),
            (
                "proxy_add_header_map_value",
                host::proxy_add_header_map_value(NONE, nowhere, 1, nowhere, 1),
            ),
            (
                "proxy_remove_header_map_value",
                host::proxy_remove_header_map_value(NONE, nowhere, 1),
            ),
            (
                "proxy_replace_header_map_value",
                host::proxy_replace_header_map_value(NONE, nowhere, 1, nowhere, 1),
            ),
            (
                "proxy_set_header_map_pairs",
                host::proxy_set_header_map_pairs(NONE, nowhere, 1),
            ),
            (
                "proxy_get_property",
                host::proxy_get_property(nowhere, 1, data, size),
            ),
            (
                "proxy_set_property",
                host::proxy_set_property(nowhere, 1, nowhere, 1),
            ),
            (
                "proxy_get_buffer_bytes",
                host::proxy_get_buffer_bytes(NONE, 0, 1, data, size),
            ),
            (
                "proxy_set_buffer_bytes",
                host::proxy_set_buffer_bytes(NONE, 0, 1, nowhere, 1),
            ),
            (
                "proxy_send_local_response",
                host::proxy_send_local_response(
                    503,
                    nowhere,
                    1,
                    nowhere,
                    1,
                    nowhere,
                    1,
                    NO_GRPC_STATUS,
                ),
            ),
            (
                "proxy_get_shared_data",
                host::proxy_get_shared_data(nowhere, 1, data, size, cas),
            ),
            (
                "proxy_set_shared_data",
                host::proxy_set_shared_data(nowhere, 1, nowhere, 1, 0),
            ),
            ("proxy_continue_stream", host::proxy_continue_stream(NONE)),
            ("proxy_close_stream", host::proxy_close_stream(NONE)),
            (
                "proxy_set_effective_context",
                host::proxy_set_effective_context(NONE),
            ),
            (
                "proxy_set_tick_period_milliseconds",
                host::proxy_set_tick_period_milliseconds(0),
            ),
            (
                "proxy_define_metric",
                host::proxy_define_metric(COUNTER, nowhere, 1, cas),
            ),
            (
                "proxy_increment_metric",
                host::proxy_increment_metric(NONE, 0),
            ),
            ("proxy_record_metric", host::proxy_record_metric(NONE, 0)),
            ("proxy_get_metric", host::proxy_get_metric(NONE, number)),
            ("clock_time_get", wasi::clock_time_get(NONE, 1, number)),
            ("random_get", wasi::random_get(nowhere, 1)),
        ]
    }
}

/// Logs that the host refused something.
pub(crate) fn report(what: &str, performed: Result<(), HostError>) {
    if let Err(HostError(status)) = performed {
        log::error!("{what} could not be written: status {status}");
    }
}

fn check(status: u32) -> Result<(), HostError> {
    if status == OK {
        Ok(())
    } else {
        Err(HostError(status))
    }
}

/// Memory that the host asked this module to allocate and then filled.
struct HostBuffer {
    data: *mut u8,
    size: usize,
}

impl HostBuffer {
    fn new() -> Self {
        Self {
            data: ptr::null_mut(),
            size: 0,
        }
    }

    fn take(self, status: u32) -> Option<Vec<u8>> {
        if status != OK {
            return None;
        }
        if self.data.is_null() {
            return Some(Vec::new());
        }
        // SAFETY: the host got this block from `proxy_on_memory_allocate`,
        // which leaked a Vec<u8> of exactly this capacity, and filled it.
        Some(unsafe { Vec::from_raw_parts(self.data, self.size, self.size) })
    }
}
