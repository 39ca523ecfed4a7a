//! What a BackendTrafficPolicy does: one state machine per HTTP exchange.
//!
//! The engine is sans-IO. An adapter feeds an [`Exchange`] with events, the
//! engine answers with a [`Flow`] and fills a list of [`Action`]s that the
//! adapter performs. What the engine needs to know it asks of a [`Host`].
//! Everything that does not depend on the request is worked out once per
//! configuration, in a [`Plan`].
//!
//! Nothing here knows Envoy, WebAssembly, a clock or a source of randomness.

#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod action;
mod counters;
mod deadlines;
mod draw;
mod exchange;
mod fault;
mod form;
mod format;
mod grpc;
mod holder;
mod host;
mod intake;
mod journal;
mod look;
mod meters;
mod names;
mod plan;
mod pool;
mod quota;
mod rate_limit;
mod request;
mod request_buffer;
mod response_override;
mod retry;
mod roll;
mod select;
mod shared;
mod siphash;
#[cfg(feature = "testing")]
pub mod testing;
pub mod update;
mod vm_memory;
mod watch;
mod worker;

pub use action::{Action, Fields, Flow, Reply, Response};
pub use counters::{CounterId, GaugeId};
pub use deadlines::Deadlines;
pub use exchange::Exchange;
pub use format::versioned_key;
pub use host::{Attribute, Host};
pub use journal::{Journals, PAGES, Page, WorkerId};
pub use meters::{MeterId, MeterKind, Meters};
pub use names::SharedNames;
pub use plan::Plan;
pub use quota::MemoryQuota;
pub use retry::{Ledger, recover};
pub use roll::BEAT_NS;
pub use shared::{BlockId, Blocks, Contended, Counters, Step, TableId, Tables, to_bytes, to_words};
pub use vm_memory::{VmMemory, VmSighting};
pub use worker::Worker;
