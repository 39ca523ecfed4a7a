//! Keeps the module in memory for as long as Envoy runs.
//!
//! Envoy closes a module when the last configuration that uses it is gone, unless
//! `do_not_close` is set. What the module shares among workers would be lost then,
//! and its threads would run code that is no longer there.

use std::ffi::c_void;
use std::mem::MaybeUninit;

/// Pins the module; `false` if that cannot be done.
pub(super) fn pin() -> bool {
    let own: fn() -> bool = pin;
    let mut about = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: the address is one of this module, and the result has room.
    let found = unsafe { libc::dladdr(own as *const c_void, about.as_mut_ptr()) };
    if found == 0 {
        return false;
    }
    // SAFETY: a result other than zero says that it was written.
    let file = unsafe { about.assume_init() }.dli_fname;
    // SAFETY: it is the name that the module was opened by, which is kept while it is
    // open. Nothing is loaded anew, so no code runs by this.
    let handle = unsafe {
        libc::dlopen(
            file,
            libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
        )
    };
    // The handle is never closed, which alone would be enough.
    !handle.is_null()
}
