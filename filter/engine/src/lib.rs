//! What a BackendTrafficPolicy does: one state machine per HTTP exchange.
//!
//! The engine is sans-IO. An adapter feeds an [`Exchange`] with events. The engine answers
//! with a [`Flow`] and a list of [`Action`]s, which the adapter performs. The engine reads
//! facts about the exchange from a [`Host`]. A [`Scheduler`] knows which exchanges to wake,
//! and when the adapter's timer must be set. Everything that does not depend on the request
//! is computed once per configuration, in a [`Plan`].
//!
//! This crate calls no function of Envoy or WebAssembly, and uses no clock and no source of
//! randomness.

#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod action;
mod announcement;
mod decision;
mod definitions;
mod event;
mod exchange;
mod fault;
mod grpc;
mod host;
mod plan;
mod rate_limit;
mod request;
mod request_buffer;
mod response_override;
mod retry;
mod scheduler;
mod shared;
#[cfg(feature = "testing")]
pub mod testing;
pub mod update;
mod worker;

pub use action::{Action, Fields, Flow, HeaderEdit, HeaderText, Reply, Response};
pub use announcement::{Build, Severity, announce, announce_plan};
pub use event::{Event, LeftOut, LogThrottle};
pub use exchange::{AwaitedBody, Context, Exchange};
pub use grpc::is_grpc;
pub use host::headers::HeaderView;
pub use host::metadata::MetadataValue;
pub use host::metrics::{
    CounterId, Family, GaugeId, HistogramId, Label, Labels, MetricKind, Metrics, OTHERS, Series,
    families,
};
pub use host::shared_state::accounts::{AccountId, Accounts, Entry};
pub use host::shared_state::journal::{HeldCredit, Journals, PAGES, Page, PageId, WorkerId};
pub use host::shared_state::{
    Bucket, Buckets, BucketsId, CellId, CellKind, CellNames, Cells, Claims, Contended, HeldClaim,
    OverflowCells, OverflowId, Owner, QuotaId, Rate, Registration, Registry, RegistryId, SeedId,
    SetMark, SharedNames, SharedState, Update,
};
pub use host::{Attribute, Host};
pub use plan::Plan;
pub use rate_limit::counting_rules;
pub use request::selector::holds;
pub use response_override::MemoryQuota;
pub use retry::{Ledger, recover};
pub use scheduler::Scheduler;
pub use shared::liveness::HEARTBEAT_NS;
pub use shared::vm_memory::{VmEntry, VmMemory, VmSighting, VmTable};
pub use worker::Worker;
