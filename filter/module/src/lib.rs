//! The dynamic-module adapter: the one crate that knows Envoy's ABI for modules.
//!
//! `abi` declares what Envoy calls and what it can be asked, and is the only room
//! with `unsafe`. `filter` is the HTTP filter of the name `backend_traffic_policy`: it
//! leads each hook to a configuration (`filter_config`) or an exchange (`exchange`).
//! The engine asks through `host`, and `perform` does what it decides.

#![deny(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

#[cfg(not(panic = "unwind"))]
compile_error!("a panic would end Envoy: build this with `--profile module`");

mod abi;
mod beginning;
mod clock;
mod exchange;
mod filter;
mod filter_config;
mod host;
mod in_force;
mod metadata;
mod metrics;
mod number;
mod perform;
#[cfg(feature = "planted-panics")]
mod planted;
mod random;
mod route;
mod shared_state;
mod timer;
mod version;
mod worker;

#[cfg(not(feature = "planted-panics"))]
abi::exports!(crate::filter::Filter);
#[cfg(feature = "planted-panics")]
abi::exports!(crate::planted::Planted);
