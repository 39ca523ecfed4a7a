//! The functions that Envoy calls: each hook of the ABI, forwarded to [`HttpFilter`].
//!
//! The safety of this file relies on these promises of Envoy. The pointers that it hands
//! back are those that it was given. Each is destroyed once and not used afterwards. The
//! hooks of one stream run one after the other on one thread. Configurations are loaded and
//! destroyed on the main thread, after all exchanges under them.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::Arc;

use super::callbacks::{ConfigPtr, FilterPtr};
use super::config::Config;
use super::guard::{guarded, report_panics, take_uncounted};
use super::http_filter::HttpFilter;
use super::pin::pin;
use super::process::log;
use super::slot::{Answer, Entered, Loaded, Slot};
use super::types::{BodyFlow, EnvoyBuffer, HeadersFlow, Level, LocalReplyFlow, TrailersFlow};

/// The version of the ABI that this was written for; Envoy warns of another.
const VERSION: &CStr = c"v0.2.0";

/// The counter of caught panics.
const PANICS: &str = "btp.panics";

/// The module was loaded.
pub(crate) fn program_init() -> *const c_void {
    guarded("program_init", || {
        report_panics();
        if !pin() {
            log(
                Level::Warn,
                "the module cannot pin itself: set do_not_close, or an update may unload it",
            );
        }
    });
    VERSION.as_ptr().cast()
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn config_new<F: HttpFilter>(
    config: ConfigPtr,
    filter: EnvoyBuffer,
    text: EnvoyBuffer,
) -> *const c_void {
    let loaded = guarded("config_new", || {
        // SAFETY: Envoy has handed them to this hook, which they do not outlive.
        let (mut config, filter, text) =
            unsafe { (Config::new(config), filter.bytes(), text.bytes()) };
        let panics = config.define_counter(PANICS, &[]);
        let config = Arc::new(F::load(&mut config, filter, text)?);
        Some(Loaded::<F> { config, panics }.into_envoy())
    });
    if loaded.is_none() {
        log(
            Level::Error,
            "configuration refused: loading it panicked, see above",
        );
    }
    loaded.flatten().unwrap_or(ptr::null())
}

/// # Safety
/// Envoy has called the hook of this name with this argument.
pub(crate) unsafe fn config_destroy<F: HttpFilter>(config: *const c_void) {
    // SAFETY: it came from `config_new`, and no exchange under it is left.
    unsafe { Loaded::<F>::destroy(config) }
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn config_scheduled<F: HttpFilter>(envoy: ConfigPtr, config: *const c_void) {
    // SAFETY: it came from `config_new`, and is not destroyed while its hook runs.
    let loaded = unsafe { Loaded::<F>::borrow(config) };
    guarded("config_scheduled", || {
        // SAFETY: Envoy has handed it to this hook, which it does not outlive.
        let envoy = unsafe { Config::new(envoy) };
        if let (Some(counter), true) = (loaded.panics, F::shows_panics(&loaded.config)) {
            envoy.add(counter, &[], take_uncounted());
        }
        F::config_scheduled(&loaded.config, &envoy);
    });
}

/// # Safety
/// Envoy has called the hook of this name with this argument.
pub(crate) unsafe fn filter_new<F: HttpFilter>(config: *const c_void) -> *const c_void {
    // SAFETY: it came from `config_new`, and is not destroyed before its exchanges.
    let loaded = unsafe { Loaded::<F>::borrow(config) };
    // A null would close the client's connection without a word.
    if F::is_idle(&loaded.config) {
        return Slot::<F>::idle();
    }
    Slot::<F>::begin("filter_new", || F::begin(&loaded.config))
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn request_headers<F: HttpFilter>(
    filter: FilterPtr,
    slot: *const c_void,
    end: bool,
) -> u32 {
    // SAFETY: as the caller promises.
    let entered = unsafe {
        Slot::<F>::enter(
            filter,
            slot,
            "request_headers",
            Answer::Reply,
            |it, stream| F::request_headers(it, stream, end),
        )
    };
    let refused = HeadersFlow::StopIteration;
    or(entered, HeadersFlow::Continue, refused, refused) as u32
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn request_body<F: HttpFilter>(
    filter: FilterPtr,
    slot: *const c_void,
    end: bool,
) -> u32 {
    // SAFETY: as the caller promises.
    let entered = unsafe {
        Slot::<F>::enter(filter, slot, "request_body", Answer::Reply, |it, stream| {
            F::request_body(it, stream, end)
        })
    };
    let refused = BodyFlow::StopNoBuffer;
    or(entered, BodyFlow::Continue, refused, refused) as u32
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn request_trailers<F: HttpFilter>(
    filter: FilterPtr,
    slot: *const c_void,
) -> u32 {
    // SAFETY: as the caller promises.
    let entered = unsafe {
        Slot::<F>::enter(
            filter,
            slot,
            "request_trailers",
            Answer::Reply,
            F::request_trailers,
        )
    };
    let refused = TrailersFlow::Stop;
    or(entered, TrailersFlow::Continue, refused, refused) as u32
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn response_headers<F: HttpFilter>(
    filter: FilterPtr,
    slot: *const c_void,
    end: bool,
) -> u32 {
    // SAFETY: as the caller promises.
    let entered = unsafe {
        Slot::<F>::enter(
            filter,
            slot,
            "response_headers",
            Answer::Reply,
            |it, stream| F::response_headers(it, stream, end),
        )
    };
    let pass = HeadersFlow::Continue;
    or(entered, pass, HeadersFlow::StopIteration, pass) as u32
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn response_body<F: HttpFilter>(
    filter: FilterPtr,
    slot: *const c_void,
    end: bool,
) -> u32 {
    // SAFETY: as the caller promises.
    let entered = unsafe {
        Slot::<F>::enter(
            filter,
            slot,
            "response_body",
            Answer::Reply,
            |it, stream| F::response_body(it, stream, end),
        )
    };
    let pass = BodyFlow::Continue;
    or(entered, pass, BodyFlow::StopNoBuffer, pass) as u32
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn response_trailers<F: HttpFilter>(
    filter: FilterPtr,
    slot: *const c_void,
) -> u32 {
    // SAFETY: as the caller promises.
    let entered = unsafe {
        Slot::<F>::enter(
            filter,
            slot,
            "response_trailers",
            Answer::Reply,
            F::response_trailers,
        )
    };
    let pass = TrailersFlow::Continue;
    or(entered, pass, TrailersFlow::Stop, pass) as u32
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn local_reply<F: HttpFilter>(
    filter: FilterPtr,
    slot: *const c_void,
    status: u32,
    details: EnvoyBuffer,
) -> u32 {
    // SAFETY: as the caller promises; the details do not outlive the hook. Its panic
    // cannot be answered with another reply: this one goes on.
    let entered = unsafe {
        Slot::<F>::enter(
            filter,
            slot,
            "local_reply",
            Answer::Nothing,
            |it, stream| F::local_reply(it, stream, status, details.bytes()),
        )
    };
    let pass = LocalReplyFlow::Continue;
    or(entered, pass, pass, pass) as u32
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn scheduled<F: HttpFilter>(filter: FilterPtr, slot: *const c_void, event: u64) {
    // SAFETY: as the caller promises.
    unsafe {
        Slot::<F>::enter(filter, slot, "scheduled", Answer::Reply, |it, stream| {
            F::scheduled(it, stream, event);
        });
    }
}

/// # Safety
/// Envoy has called the hook of this name with these arguments.
pub(crate) unsafe fn stream_complete<F: HttpFilter>(filter: FilterPtr, slot: *const c_void) {
    // SAFETY: as the caller promises.
    unsafe {
        Slot::<F>::enter(
            filter,
            slot,
            "stream_complete",
            Answer::Nothing,
            F::stream_complete,
        );
    }
}

/// # Safety
/// Envoy has called the hook of this name with this argument.
pub(crate) unsafe fn destroy<F: HttpFilter>(slot: *const c_void) {
    // SAFETY: as the caller promises.
    unsafe { Slot::<F>::destroy(slot) }
}

fn or<R>(entered: Entered<R>, idle: R, panicked: R, absent: R) -> R {
    match entered {
        Entered::Done(result) => result,
        Entered::Idle => idle,
        Entered::Panicked => panicked,
        Entered::Absent => absent,
    }
}
