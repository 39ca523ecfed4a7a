//! The dynamic-module adapter: the one crate that knows Envoy's ABI for modules.
//!
//! `abi` declares the functions that Envoy calls and those that it offers, and is the only
//! room with `unsafe`. `filter` is the HTTP filter of the name `backend_traffic_policy`: it
//! forwards each hook to a configuration (`filter_config`) or an exchange (`exchange`). The
//! engine reads facts through `host`, and `perform` performs its actions.

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
