//! A dynamic module whose filter does nothing. What it costs is what Envoy takes to call
//! any module; the benchmarks compare the filter with it.
#![allow(unsafe_code, reason = "the names of hooks are fixed")]

use std::ffi::{CStr, c_void};

/// Bytes of Envoy's.
#[repr(C)]
struct Buffer {
    ptr: *const u8,
    length: usize,
}

const VERSION: &CStr = c"v0.2.0";
/// What Envoy is given to hand back; nobody looks at what is there.
static ANYTHING: u8 = 0;

fn anything() -> *const c_void {
    (&raw const ANYTHING).cast()
}

macro_rules! hooks {
    ($($name:ident($($argument:ty),*) $(-> $result:ty = $value:expr)?;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) $(-> $result)? {
                $($value)?
            }
        )*
    };
}

type P = *mut c_void;

hooks! {
    envoy_dynamic_module_on_program_init() -> *const c_void = VERSION.as_ptr().cast();
    envoy_dynamic_module_on_http_filter_config_new(P, Buffer, Buffer) -> *const c_void = anything();
    envoy_dynamic_module_on_http_filter_config_destroy(P);
    envoy_dynamic_module_on_http_filter_new(P, P) -> *const c_void = anything();
    envoy_dynamic_module_on_http_filter_request_headers(P, P, bool) -> u32 = 0;
    envoy_dynamic_module_on_http_filter_request_body(P, P, bool) -> u32 = 0;
    envoy_dynamic_module_on_http_filter_request_trailers(P, P) -> u32 = 0;
    envoy_dynamic_module_on_http_filter_response_headers(P, P, bool) -> u32 = 0;
    envoy_dynamic_module_on_http_filter_response_body(P, P, bool) -> u32 = 0;
    envoy_dynamic_module_on_http_filter_response_trailers(P, P) -> u32 = 0;
    envoy_dynamic_module_on_http_filter_stream_complete(P, P);
    envoy_dynamic_module_on_http_filter_destroy(P);
    envoy_dynamic_module_on_http_filter_scheduled(P, P, u64);
    envoy_dynamic_module_on_http_filter_local_reply(P, P, u32, Buffer, bool) -> u32 = 0;
    envoy_dynamic_module_on_http_filter_http_callout_done(P, P, u64, u32, P, usize, P, usize);
    envoy_dynamic_module_on_http_filter_http_stream_headers(P, P, u64, P, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_data(P, P, u64, P, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(P, P, u64, P, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(P, P, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(P, P, u64, u32);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(P, P);
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(P, P);
}
