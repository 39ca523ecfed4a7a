//! What `btp` does: the program, and for other programs the translation of
//! policies into Envoy's configuration.

mod apply;
mod commands;
mod compose;
mod envoy;
mod explain;
mod input;
mod lint;
mod output;
mod plugin_config;
mod report;
mod source;
pub mod translate;

pub use commands::run;
