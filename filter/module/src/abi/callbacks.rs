//! The functions that the module may call.
//!
//! All of them must exist, or Envoy does not load the module at all: names are bound at
//! once. `filter/module/callbacks.txt` lists those of the oldest supported Envoy, and the
//! build compares. Functions that only newer versions have must not be declared here but
//! looked up at run time (`dlsym`).
//!
//! Envoy 1.38 lacks the functions that change metrics of a configuration, so it does not
//! load the module. It also lacks functions that decisions depend on.

use std::ffi::c_void;

#[cfg(feature = "planted-panics")]
use super::calls;
use super::types::{EnvoyBuffer, EnvoyHeader, ModuleBuffer, ModuleHeader};

/// Envoy's filter of one stream.
pub(super) type FilterPtr = *mut c_void;
/// Envoy's side of a configuration.
pub(super) type ConfigPtr = *mut c_void;
/// Envoy's side of a scheduler, which the module has to delete.
pub(super) type SchedulerPtr = *mut c_void;

/// The same of a configuration.
pub(super) type ConfigSchedulerPtr = *mut c_void;

macro_rules! callbacks {
    ($($name:ident = $symbol:literal ($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        #[cfg(not(feature = "planted-panics"))]
        pub(super) use envoy::*;
        #[cfg(feature = "planted-panics")]
        pub(super) use counted::*;

        mod envoy {
            use super::*;

            unsafe extern "C" {
                $(
                    #[link_name = concat!("envoy_dynamic_module_callback_", $symbol)]
                    pub(in super::super) fn $name($($argument: $type),*) $(-> $result)?;
                )*
            }
        }

        /// The same, and each call is counted.
        #[cfg(feature = "planted-panics")]
        mod counted {
            use super::*;

            const _: () = assert!([$($symbol),*].len() <= calls::MOST);

            $(
                /// # Safety
                /// As Envoy's ABI says of the callback.
                pub(in super::super) unsafe fn $name($($argument: $type),*) $(-> $result)? {
                    calls::count($symbol);
                    // SAFETY: as the caller promises.
                    unsafe { envoy::$name($($argument),*) }
                }
            )*
        }
    };
}

callbacks! {
    log = "log"(level: u32, message: ModuleBuffer);

    define_counter = "http_filter_config_define_counter"(config: ConfigPtr, name: ModuleBuffer, labels: *const ModuleBuffer, count: usize, id: *mut usize) -> u32;
    define_gauge = "http_filter_config_define_gauge"(config: ConfigPtr, name: ModuleBuffer, labels: *const ModuleBuffer, count: usize, id: *mut usize) -> u32;
    define_histogram = "http_filter_config_define_histogram"(config: ConfigPtr, name: ModuleBuffer, labels: *const ModuleBuffer, count: usize, id: *mut usize) -> u32;
    config_record_histogram = "http_filter_config_record_histogram_value"(config: ConfigPtr, id: usize, labels: *const ModuleBuffer, count: usize, value: u64) -> u32;
    config_scheduler_new = "http_filter_config_scheduler_new"(config: ConfigPtr) -> ConfigSchedulerPtr;
    config_scheduler_commit = "http_filter_config_scheduler_commit"(scheduler: ConfigSchedulerPtr, event: u64);
    config_scheduler_delete = "http_filter_config_scheduler_delete"(scheduler: ConfigSchedulerPtr);
    config_increment_counter = "http_filter_config_increment_counter"(config: ConfigPtr, id: usize, labels: *const ModuleBuffer, count: usize, value: u64) -> u32;
    config_set_gauge = "http_filter_config_set_gauge"(config: ConfigPtr, id: usize, labels: *const ModuleBuffer, count: usize, value: u64) -> u32;

    get_header = "http_get_header"(filter: FilterPtr, map: u32, key: ModuleBuffer, value: *mut EnvoyBuffer, index: usize, count: *mut usize) -> bool;
    get_headers_size = "http_get_headers_size"(filter: FilterPtr, map: u32) -> usize;
    get_headers = "http_get_headers"(filter: FilterPtr, map: u32, headers: *mut EnvoyHeader) -> bool;
    add_header = "http_add_header"(filter: FilterPtr, map: u32, key: ModuleBuffer, value: ModuleBuffer) -> bool;
    set_header = "http_set_header"(filter: FilterPtr, map: u32, key: ModuleBuffer, value: ModuleBuffer) -> bool;

    get_body_size = "http_get_body_size"(filter: FilterPtr, body: u32) -> usize;
    append_body = "http_append_body"(filter: FilterPtr, body: u32, data: ModuleBuffer) -> bool;
    drain_body = "http_drain_body"(filter: FilterPtr, body: u32, bytes: usize) -> bool;

    get_metadata_number = "http_get_metadata_number"(filter: FilterPtr, source: u32, namespace: ModuleBuffer, key: ModuleBuffer, result: *mut f64) -> bool;
    get_metadata_string = "http_get_metadata_string"(filter: FilterPtr, source: u32, namespace: ModuleBuffer, key: ModuleBuffer, result: *mut EnvoyBuffer) -> bool;
    get_metadata_bool = "http_get_metadata_bool"(filter: FilterPtr, source: u32, namespace: ModuleBuffer, key: ModuleBuffer, result: *mut bool) -> bool;
    get_metadata_keys_count = "http_get_metadata_keys_count"(filter: FilterPtr, source: u32, namespace: ModuleBuffer) -> usize;
    get_metadata_keys = "http_get_metadata_keys"(filter: FilterPtr, source: u32, namespace: ModuleBuffer, keys: *mut EnvoyBuffer) -> bool;
    get_metadata_list_size = "http_get_metadata_list_size"(filter: FilterPtr, source: u32, namespace: ModuleBuffer, key: ModuleBuffer, result: *mut usize) -> bool;
    get_metadata_list_string = "http_get_metadata_list_string"(filter: FilterPtr, source: u32, namespace: ModuleBuffer, key: ModuleBuffer, index: usize, result: *mut EnvoyBuffer) -> bool;

    set_filter_state = "http_set_filter_state_bytes"(filter: FilterPtr, key: ModuleBuffer, value: ModuleBuffer) -> bool;
    get_filter_state = "http_get_filter_state_bytes"(filter: FilterPtr, key: ModuleBuffer, value: *mut EnvoyBuffer) -> bool;
    get_attribute_string = "http_filter_get_attribute_string"(filter: FilterPtr, id: u32, result: *mut EnvoyBuffer) -> bool;
    get_attribute_int = "http_filter_get_attribute_int"(filter: FilterPtr, id: u32, result: *mut u64) -> bool;

    send_response = "http_send_response"(filter: FilterPtr, status: u32, headers: *const ModuleHeader, count: usize, body: ModuleBuffer, details: ModuleBuffer);
    reset_stream = "http_filter_reset_stream"(filter: FilterPtr, reason: u32, details: ModuleBuffer);
    continue_decoding = "http_filter_continue_decoding"(filter: FilterPtr);

    scheduler_new = "http_filter_scheduler_new"(filter: FilterPtr) -> SchedulerPtr;
    scheduler_commit = "http_filter_scheduler_commit"(scheduler: SchedulerPtr, event: u64);
    scheduler_delete = "http_filter_scheduler_delete"(scheduler: SchedulerPtr);
}
