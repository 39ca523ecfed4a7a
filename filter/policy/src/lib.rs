//! What a BackendTrafficPolicy says: reading, validation and attachment.
//!
//! A document becomes a tree of [`node::Node`]s (JSON always, YAML with the
//! `yaml` feature), the readers turn the tree into types that cannot hold a
//! wrong value, and everything that is wrong is reported at once as
//! [`problem::Problem`]s that name path, value and reason.
//!
//! This crate knows no host: no Envoy, no clock, no randomness.

#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub mod attach;
pub mod code;
pub mod config;
#[cfg(feature = "yaml")]
pub mod document;
mod echo;
pub mod hash;
pub mod json;
pub mod labels;
#[cfg(feature = "legacy")]
pub mod legacy;
#[cfg(feature = "schema")]
mod linter;
pub mod merge;
pub mod node;
mod owner;
pub mod path;
pub mod policy;
mod position;
pub mod problem;
pub mod protobuf;
pub mod read;
mod regex;
pub mod scalar;
pub mod schema;
pub mod sort;
pub mod spec;
#[cfg(feature = "yaml")]
pub mod yaml;

pub use code::Code;
pub use config::{HeldHeaders, PluginConfig};
pub use echo::{Echo, is_hidden, presentable};
pub use policy::Policy;
pub use position::Position;
pub use problem::{Problem, Problems};
pub use regex::{Regex, RegexError, Regexes};
#[cfg(feature = "schema")]
pub use spec::native;
