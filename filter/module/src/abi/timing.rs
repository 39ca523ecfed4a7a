//! When a client's request began, which Envoy tells since 1.40.
//!
//! The callback is looked up when it is first wanted, as Envoy would not load a module
//! that names what it lacks.

use std::ffi::c_void;
use std::sync::OnceLock;

use super::callbacks::FilterPtr;

/// What Envoy writes: numbers of nanoseconds, the first of them since 1970. Newer versions
/// have more of them, for which there is room.
#[repr(C)]
struct TimingInfo([i64; 128]);

type GetTimingInfo = unsafe extern "C" fn(FilterPtr, *mut TimingInfo);

/// When the request of this filter's stream began: nanoseconds since 1970.
///
/// # Safety
/// The filter is alive.
pub(super) unsafe fn start_ns(filter: FilterPtr) -> Option<u64> {
    static CALLBACK: OnceLock<Option<GetTimingInfo>> = OnceLock::new();
    let callback = (*CALLBACK.get_or_init(look_up))?;
    let mut info = TimingInfo([0; 128]);
    // SAFETY: the caller promises the filter, and the result has room.
    unsafe { callback(filter, &raw mut info) };
    let [start, ..] = info.0;
    u64::try_from(start).ok().filter(|start| *start > 0)
}

fn look_up() -> Option<GetTimingInfo> {
    let name = c"envoy_dynamic_module_callback_http_get_timing_info";
    // SAFETY: the name ends with a zero, and nothing is loaded by this.
    let found: *mut c_void = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: Envoy's function of this name has this signature; null is none.
    unsafe { std::mem::transmute::<*mut c_void, Option<GetTimingInfo>>(found) }
}
