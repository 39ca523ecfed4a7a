//! What only newer releases of Envoy have. It is looked up, as Envoy does not load a
//! module that needs what is not there.

use std::ffi::CStr;
use std::sync::OnceLock;

use super::callbacks::ConfigPtr;
use super::types::ModuleBuffer;

/// Adds to a metric under a configuration: its number, the values of its labels, how
/// many these are, and the amount.
pub(super) type Add =
    unsafe extern "C" fn(ConfigPtr, usize, *const ModuleBuffer, usize, u64) -> u32;

/// Adds to a counter; 1.40 has it, 1.38 does not.
pub(super) fn increment_counter() -> Option<Add> {
    static FOUND: OnceLock<Option<Add>> = OnceLock::new();
    *FOUND
        .get_or_init(|| find(c"envoy_dynamic_module_callback_http_filter_config_increment_counter"))
}

/// Adds to a gauge; as [`increment_counter`].
pub(super) fn increment_gauge() -> Option<Add> {
    static FOUND: OnceLock<Option<Add>> = OnceLock::new();
    *FOUND.get_or_init(|| find(c"envoy_dynamic_module_callback_http_filter_config_increment_gauge"))
}

fn find(symbol: &CStr) -> Option<Add> {
    // SAFETY: the name ends in a zero; nothing is loaded.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
    if address.is_null() {
        return None;
    }
    // SAFETY: both names have this signature in Envoy's header, which adds callbacks
    // and changes none.
    Some(unsafe { std::mem::transmute::<*mut libc::c_void, Add>(address) })
}
