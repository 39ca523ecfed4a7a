//! Exports the hooks under the names that Envoy looks up.

/// Exports the hooks, for an HTTP filter. A macro, so that this room need not know the
/// filter. The empty hooks are about calls to other servers and similar features, which
/// this filter does not use; Envoy requires them all the same.
macro_rules! exports {
    ($filter:ty) => {
        #[allow(unsafe_code)]
        mod exports {
            use std::ffi::c_void;

            use $crate::abi::EnvoyBuffer;
            use $crate::abi::hooks;

            type Called = $filter;

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_void {
                hooks::program_init()
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(config: *mut c_void, name: EnvoyBuffer, text: EnvoyBuffer) -> *const c_void {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::config_new::<Called>(config, name, text) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: *const c_void) {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::config_destroy::<Called>(config) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(envoy: *mut c_void, config: *const c_void, _event: u64) {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::config_scheduled::<Called>(envoy, config) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(config: *const c_void, _filter: *mut c_void) -> *const c_void {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::filter_new::<Called>(config) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(filter: *mut c_void, slot: *const c_void, end: bool) -> u32 {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::request_headers::<Called>(filter, slot, end) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(filter: *mut c_void, slot: *const c_void, end: bool) -> u32 {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::request_body::<Called>(filter, slot, end) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(filter: *mut c_void, slot: *const c_void) -> u32 {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::request_trailers::<Called>(filter, slot) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(filter: *mut c_void, slot: *const c_void, end: bool) -> u32 {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::response_headers::<Called>(filter, slot, end) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(filter: *mut c_void, slot: *const c_void, end: bool) -> u32 {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::response_body::<Called>(filter, slot, end) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(filter: *mut c_void, slot: *const c_void) -> u32 {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::response_trailers::<Called>(filter, slot) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(filter: *mut c_void, slot: *const c_void, status: u32, details: EnvoyBuffer, _reset: bool) -> u32 {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::local_reply::<Called>(filter, slot, status, details) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(filter: *mut c_void, slot: *const c_void, event: u64) {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::scheduled::<Called>(filter, slot, event) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(filter: *mut c_void, slot: *const c_void) {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::stream_complete::<Called>(filter, slot) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(slot: *const c_void) {
                // SAFETY: Envoy calls it, as its ABI says.
                unsafe { hooks::destroy::<Called>(slot) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(_filter: *mut c_void, _slot: *const c_void, _id: u64, _result: u32, _headers: *mut c_void, _count: usize, _chunks: *mut c_void, _chunk_count: usize) {
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_headers(_filter: *mut c_void, _slot: *const c_void, _id: u64, _headers: *mut c_void, _count: usize, _end: bool) {
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_data(_filter: *mut c_void, _slot: *const c_void, _id: u64, _data: *const c_void, _count: usize, _end: bool) {
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_trailers(_filter: *mut c_void, _slot: *const c_void, _id: u64, _trailers: *mut c_void, _count: usize) {
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_complete(_filter: *mut c_void, _slot: *const c_void, _id: u64) {
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_reset(_filter: *mut c_void, _slot: *const c_void, _id: u64, _reason: u32) {
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(_filter: *mut c_void, _slot: *const c_void) {
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(_filter: *mut c_void, _slot: *const c_void) {
            }
        }
    };
}
pub(crate) use exports;
