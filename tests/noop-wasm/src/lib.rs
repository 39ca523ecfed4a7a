//! A WebAssembly filter that does nothing, without an SDK. What it costs is what Envoy
//! takes to enter a sandbox for each callback; the benchmarks compare the filter with it,
//! and it exports what the filter exports (`xtask/src/exports.rs`).
#![allow(unsafe_code, reason = "the names of callbacks are fixed")]

/// It asks Envoy for nothing, so Envoy has no bytes to put anywhere.
const NO_MEMORY: usize = 0;
const CONTINUE: u32 = 0;
const YES: u32 = 1;

macro_rules! callbacks {
    ($($name:ident($($argument:ty),*) $(-> $result:ty = $value:expr)?;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) $(-> $result)? {
                $($value)?
            }
        )*
    };
}

callbacks! {
    proxy_abi_version_0_2_1();
    proxy_on_memory_allocate(usize) -> usize = NO_MEMORY;
    proxy_on_context_create(u32, u32);
    proxy_on_configure(u32, usize) -> u32 = YES;
    proxy_on_tick(u32);
    proxy_on_done(u32) -> u32 = YES;
    proxy_on_request_headers(u32, usize, u32) -> u32 = CONTINUE;
    proxy_on_request_body(u32, usize, u32) -> u32 = CONTINUE;
    proxy_on_request_trailers(u32, usize) -> u32 = CONTINUE;
    proxy_on_response_headers(u32, usize, u32) -> u32 = CONTINUE;
    proxy_on_response_body(u32, usize, u32) -> u32 = CONTINUE;
    proxy_on_response_trailers(u32, usize) -> u32 = CONTINUE;
}
