//! Envoy's ABI for dynamic modules, both ways: what Envoy calls (`hooks`), what
//! the module may call (`callbacks`), and what is safe to do with either.
//!
//! The only room with `unsafe` in it. Outside of it there are no pointers: a
//! [`Stream`] or a [`Config`] lives as long as the hook that lends it, and what it
//! lends in turn lives until the next call that changes anything.
//!
//! Source: `source/extensions/dynamic_modules/abi/abi.h` of Envoy, read at commit
//! 0199da4a13cb, which is between 1.39 and 1.40. All names are symbols of the binaries of
//! **1.40.0** and **1.39.3**, and tests call them there
//! (`tests/tests/module_calls.rs`).
#![allow(unsafe_code)]

#[cfg(feature = "planted-panics")]
mod allocations;
mod callbacks;
#[cfg(feature = "planted-panics")]
mod calls;
mod config;
mod exports;
mod guard;
mod headers;
pub(crate) mod hooks;
mod http_filter;
mod metadata;
mod note;
mod pin;
mod pool;
mod process;
mod scheduler;
mod slot;
mod stream;
mod timing;
mod types;

#[cfg(feature = "planted-panics")]
pub(crate) use allocations::allocations;
#[cfg(feature = "planted-panics")]
pub(crate) use calls::{each_call, uncounted};
pub(crate) use config::{Config, ConfigScheduler, CounterId, GaugeId, HistogramId};
pub(crate) use exports::exports;
pub(crate) use guard::{guarded, on_panic};
pub(crate) use headers::{HeaderRoom, Headers};
pub(crate) use http_filter::HttpFilter;
pub(crate) use metadata::MetadataKey;
pub(crate) use process::log;
pub(crate) use scheduler::Scheduler;
pub(crate) use stream::Stream;
pub(crate) use types::{
    Attribute, Body, BodyFlow, EnvoyBuffer, HeadersFlow, Level, LocalReplyFlow, Map,
    MetadataSource, ResetReason, TrailersFlow,
};
