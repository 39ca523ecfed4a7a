//! What `btp` does: the program, and for other programs the translation of
//! policies into Envoy's configuration.

mod apply;
mod commands;
mod compose;
mod diagnostics;
mod documents;
mod envoy;
mod output;
pub mod translate;

pub use commands::run;
