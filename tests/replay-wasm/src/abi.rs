//! The hostcalls that a script may have, and the memory that Envoy writes into: one
//! buffer, which each answer overwrites.
//!
//! Nobody looks at what Envoy answers. What it cannot do it answers sooner, so whoever
//! writes a script compares Envoy's trace of its replay with the one that it was made from.
#![allow(unsafe_code, reason = "hostcalls are foreign functions")]

use std::cell::RefCell;
use std::ptr;
use std::slice;

mod imports {
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
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
        pub(super) fn proxy_get_header_map_pairs(
            map: u32,
            pairs: *mut *mut u8,
            pairs_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_add_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
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
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            name_size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, offset: i64) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
    }
}

mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    }
}

/// Where an answer of Envoy's stands.
struct Answer {
    data: *mut u8,
    size: usize,
}

const OK: u32 = 0;
const ERROR: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
/// A value is set whatever version it has.
const ANY_VERSION: u32 = 0;

thread_local! {
    static MEMORY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Memory for so many bytes, the same each time.
pub(crate) fn memory(size: usize) -> *mut u8 {
    MEMORY.with_borrow_mut(|memory| {
        // It is empty: Envoy writes into what is only reserved.
        memory.reserve(size);
        memory.as_mut_ptr()
    })
}

/// The configuration of the plugin that is configured, of so many bytes.
pub(crate) fn plugin_configuration(size: usize) -> String {
    let mut answer = Answer::none();
    let (data, length) = answer.places();
    // SAFETY: both places are live.
    let status =
        unsafe { imports::proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, data, length) };
    if status != OK || answer.data.is_null() {
        return String::new();
    }
    // SAFETY: Envoy has filled so many bytes of `memory`, which nobody touches meanwhile.
    let bytes = unsafe { slice::from_raw_parts(answer.data, answer.size) };
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn log_error(text: &str) {
    // SAFETY: pointer and length describe live memory.
    unsafe { imports::proxy_log(ERROR, text.as_ptr(), text.len()) };
}

pub(crate) fn get_property(path: &[u8]) {
    let mut answer = Answer::none();
    let (data, size) = answer.places();
    // SAFETY: pointers and lengths describe live memory.
    unsafe { imports::proxy_get_property(path.as_ptr(), path.len(), data, size) };
}

pub(crate) fn set_property(path: &[u8], value: &[u8]) {
    // SAFETY: pointers and lengths describe live memory.
    unsafe {
        imports::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len());
    }
}

pub(crate) fn get_headers(map: u32) {
    let mut answer = Answer::none();
    let (data, size) = answer.places();
    // SAFETY: both places are live.
    unsafe { imports::proxy_get_header_map_pairs(map, data, size) };
}

pub(crate) fn get_header(map: u32, name: &[u8]) {
    let mut answer = Answer::none();
    let (data, size) = answer.places();
    // SAFETY: pointers and lengths describe live memory.
    unsafe { imports::proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size) };
}

pub(crate) fn add_header(map: u32, name: &[u8], value: &[u8]) {
    let (name, name_size) = (name.as_ptr(), name.len());
    // SAFETY: pointers and lengths describe live memory.
    unsafe {
        imports::proxy_add_header_map_value(map, name, name_size, value.as_ptr(), value.len());
    }
}

pub(crate) fn replace_header(map: u32, name: &[u8], value: &[u8]) {
    let (name, name_size) = (name.as_ptr(), name.len());
    // SAFETY: pointers and lengths describe live memory.
    unsafe {
        imports::proxy_replace_header_map_value(map, name, name_size, value.as_ptr(), value.len());
    }
}

pub(crate) fn remove_header(map: u32, name: &[u8]) {
    // SAFETY: pointer and length describe live memory.
    unsafe { imports::proxy_remove_header_map_value(map, name.as_ptr(), name.len()) };
}

pub(crate) fn get_shared_data(key: &[u8]) {
    let mut answer = Answer::none();
    let (data, size) = answer.places();
    let mut version = 0;
    // SAFETY: pointers and lengths describe live memory.
    unsafe {
        imports::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version);
    }
}

pub(crate) fn set_shared_data(key: &[u8], value: &[u8]) {
    let (key, key_size) = (key.as_ptr(), key.len());
    // SAFETY: pointers and lengths describe live memory.
    unsafe {
        imports::proxy_set_shared_data(key, key_size, value.as_ptr(), value.len(), ANY_VERSION);
    }
}

/// Its number; `None` if there is no such kind.
pub(crate) fn define_metric(kind: u32, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: pointers and lengths describe live memory.
    let status =
        unsafe { imports::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

pub(crate) fn get_metric(id: u32) {
    let mut value = 0;
    // SAFETY: the place is live.
    unsafe { imports::proxy_get_metric(id, &raw mut value) };
}

pub(crate) fn increment_metric(id: u32, by: i64) {
    // SAFETY: no memory is passed.
    unsafe { imports::proxy_increment_metric(id, by) };
}

pub(crate) fn record_metric(id: u32) {
    // SAFETY: no memory is passed.
    unsafe { imports::proxy_record_metric(id, 1) };
}

pub(crate) fn get_time(clock: u32) {
    let mut time = 0;
    // SAFETY: the place is live.
    unsafe { wasi::clock_time_get(clock, 1, &raw mut time) };
}

impl Answer {
    fn none() -> Self {
        Self {
            data: ptr::null_mut(),
            size: 0,
        }
    }

    /// Where Envoy notes it.
    fn places(&mut self) -> (*mut *mut u8, *mut usize) {
        (&raw mut self.data, &raw mut self.size)
    }
}
