//! A load balancer as a dynamic module of Envoy's: every request goes to the endpoint
//! whose index its configuration begins with. For tests of `loadBalancer.dynamicModule`.

use std::ffi::{c_char, c_void};

/// Bytes of Envoy's.
#[repr(C)]
pub struct Buffer {
    bytes: *const c_char,
    length: usize,
}

unsafe extern "C" {
    fn envoy_dynamic_module_callback_lb_get_healthy_hosts_count(
        envoy: *mut c_void,
        priority: u32,
    ) -> usize;
}

/// Which version of the interface this is built for: Envoy warns of another.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    c"v0.1.0".as_ptr()
}

/// A configuration, which is an index; null for a balancer of another name.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_lb_config_new(
    _envoy: *mut c_void,
    name: Buffer,
    config: Buffer,
) -> *const c_void {
    let text = |it: &Buffer| {
        let bytes = unsafe { std::slice::from_raw_parts(it.bytes.cast::<u8>(), it.length) };
        String::from_utf8_lossy(bytes).into_owned()
    };
    if text(&name) != "fixed" {
        return std::ptr::null();
    }
    let digits: String = text(&config).chars().filter(char::is_ascii_digit).collect();
    let index: u32 = digits.parse().unwrap_or_default();
    Box::into_raw(Box::new(index)).cast_const().cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_lb_config_destroy(config: *mut c_void) {
    drop(unsafe { Box::from_raw(config.cast::<u32>()) });
}

/// A worker's balancer: its configuration, which outlives it.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_lb_new(
    config: *const c_void,
    _envoy: *mut c_void,
) -> *const c_void {
    config
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_lb_choose_host(
    envoy: *mut c_void,
    balancer: *const c_void,
    _context: *mut c_void,
    priority: *mut u32,
    index: *mut u32,
) -> bool {
    let wanted = unsafe { *balancer.cast::<u32>() };
    let count = unsafe { envoy_dynamic_module_callback_lb_get_healthy_hosts_count(envoy, 0) };
    unsafe {
        *priority = 0;
        *index = wanted;
    }
    usize::try_from(wanted).is_ok_and(|wanted| wanted < count)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_lb_on_host_membership_update(
    _envoy: *mut c_void,
    _balancer: *const c_void,
    _added: usize,
    _removed: usize,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_lb_destroy(_balancer: *const c_void) {}
