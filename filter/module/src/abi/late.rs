//! Callbacks that not all supported releases of Envoy have. They are looked up when they
//! are wanted first: a name that is missing at load would keep the whole module out.

use std::ffi::{CStr, c_void};
use std::mem;
use std::sync::OnceLock;

use super::callbacks::ConfigPtr;
use super::types::ModuleBuffer;

/// Changes a metric of a configuration, on the main thread: its number, labels, how many
/// these are, and by how much.
pub(super) type Change =
    unsafe extern "C" fn(ConfigPtr, usize, *const ModuleBuffer, usize, u64) -> u32;

/// A callback, if Envoy has it.
pub(super) struct Late {
    symbol: &'static CStr,
    found: OnceLock<Option<Change>>,
}

/// Of 1.40.0, and not of 1.38.3.
pub(super) static INCREMENT_COUNTER: Late =
    Late::of(c"envoy_dynamic_module_callback_http_filter_config_increment_counter");
pub(super) static INCREMENT_GAUGE: Late =
    Late::of(c"envoy_dynamic_module_callback_http_filter_config_increment_gauge");
pub(super) static DECREMENT_GAUGE: Late =
    Late::of(c"envoy_dynamic_module_callback_http_filter_config_decrement_gauge");
pub(super) static SET_GAUGE: Late =
    Late::of(c"envoy_dynamic_module_callback_http_filter_config_set_gauge");

/// Whether metrics can be changed without a stream.
pub(crate) fn can_count_for_configs() -> bool {
    let all = [
        &INCREMENT_COUNTER,
        &INCREMENT_GAUGE,
        &DECREMENT_GAUGE,
        &SET_GAUGE,
    ];
    all.into_iter().all(|it| it.get().is_some())
}

impl Late {
    const fn of(symbol: &'static CStr) -> Self {
        Self {
            symbol,
            found: OnceLock::new(),
        }
    }

    pub(super) fn get(&self) -> Option<Change> {
        *self.found.get_or_init(|| {
            // SAFETY: the name ends with a zero byte.
            let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.symbol.as_ptr()) };
            // SAFETY: a function of this name has this type, in all releases that have it.
            (!address.is_null()).then(|| unsafe { mem::transmute::<*mut c_void, Change>(address) })
        })
    }
}
