//! A WebAssembly filter that makes the hostcalls of a script and computes nothing, without
//! an SDK. What it costs beyond one that does nothing is what Envoy takes for these calls;
//! the benchmarks replay what the filter asks of Envoy for an exchange, so that what
//! remains of its cost is its own. It exports what the filter exports
//! (`xtask/src/exports.rs`).
//!
//! The plugin configuration is the script (`script.rs`), read once. For an exchange only
//! its list is walked; memory stays what it is after the configuration.

mod abi;
mod contexts;
mod script;

use script::{Callback, Script};

/// Exports the callbacks: what is `unsafe` is in `abi.rs` alone, but for their names.
#[allow(unsafe_code, reason = "the names of callbacks are fixed")]
mod exports {
    use super::{Callback, abi, configure, contexts};

    const CONTINUE: u32 = 0;
    const YES: u32 = 1;

    #[unsafe(no_mangle)]
    extern "C" fn proxy_abi_version_0_2_1() {}

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
        abi::memory(size)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_context_create(context: u32, root: u32) {
        if root != 0 {
            contexts::begin(context, root);
            contexts::replay(context, Callback::ContextCreate);
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_configure(root: u32, size: usize) -> u32 {
        u32::from(configure(root, size))
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_tick(_root: u32) {}

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_done(context: u32) -> u32 {
        if !contexts::is_root(context) {
            contexts::replay(context, Callback::Done);
        }
        YES
    }

    macro_rules! of_exchanges {
        ($($name:ident($($argument:ty),*) $callback:ident;)*) => {
            $(
                #[unsafe(no_mangle)]
                extern "C" fn $name(context: u32, $(_: $argument),*) -> u32 {
                    contexts::replay(context, Callback::$callback);
                    CONTINUE
                }
            )*
        };
    }

    of_exchanges! {
        proxy_on_request_headers(usize, u32) RequestHeaders;
        proxy_on_request_body(usize, u32) RequestBody;
        proxy_on_request_trailers(usize) RequestTrailers;
        proxy_on_response_headers(usize, u32) ResponseHeaders;
        proxy_on_response_body(usize, u32) ResponseBody;
        proxy_on_response_trailers(usize) ResponseTrailers;
    }
}

/// Reads the script of a plugin; whether it is one. The reason why not is logged.
fn configure(root: u32, size: usize) -> bool {
    let text = abi::plugin_configuration(size);
    match Script::read(&text, root) {
        Ok(script) => {
            contexts::configure(root, script);
            true
        }
        Err(reason) => {
            abi::log_error(&reason);
            false
        }
    }
}
