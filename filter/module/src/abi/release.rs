//! Which releases of Envoy the module runs on. An older one loads it, and then cannot say
//! what decisions rest on: how often a request was tried, why a response is as it is.

use std::ffi::CStr;

/// What 1.39 has and 1.38 has not.
const NEW_IN_1_39: &CStr = c"envoy_dynamic_module_callback_http_filter_config_increment_counter";

/// Whether this Envoy is recent enough.
pub(super) fn is_supported() -> bool {
    // SAFETY: the name is a C string; nothing is done with what is found.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NEW_IN_1_39.as_ptr()) };
    !found.is_null()
}
