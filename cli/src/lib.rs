//! What `btp` does: the program, and for other programs the translation of
//! policies into Envoy's configuration.

// These panic where nobody reads any more; `output` and `terminal` do not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod apply;
mod build_info;
mod commands;
mod deliver;
mod diagnostics;
mod documents;
mod envoy;
mod file_error;
mod host_port;
mod http;
mod output;
mod plugin_config_builder;
mod source_file;
mod spec_fields;
mod terminal;
mod top;
pub mod translate;

pub use commands::run;
