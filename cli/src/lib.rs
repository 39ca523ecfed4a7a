//! What `btp` does: the program, and for other programs the translation of
//! policies into Envoy's configuration.

mod apply;
mod commands;
mod deliver;
mod diagnostics;
mod documents;
mod envoy;
mod file_error;
mod host_port;
mod output;
mod plugin_config_builder;
mod spec_fields;
pub mod translate;

pub use commands::run;
