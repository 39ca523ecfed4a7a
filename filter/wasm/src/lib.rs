//! The proxy-wasm adapter: the one crate that knows Envoy's WebAssembly ABI.
//!
//! It hands events to the engine and performs what the engine decides; it
//! decides nothing itself. `abi` declares every hostcall and every
//! callback, `dispatch` knows which configuration (`root`) or HTTP exchange
//! (`stream`) a callback is about.

#![deny(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod abi;
mod active_config;
mod dispatch;
mod held_body;
mod host;
mod loaded;
mod metadata;
mod metrics;
mod pairs;
mod perform;
mod random;
mod root;
mod shared_data;
mod stream;
mod streams;
mod timer;
mod vm;

abi::callbacks!(crate::dispatch::Dispatch);
