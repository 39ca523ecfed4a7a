//! What `btp` does: the program, and for other programs the translation of
//! policies into Envoy's configuration.

mod apply;
mod commands;
mod compose;
mod deliver;
mod diagnostics;
mod documents;
mod envoy;
mod kubelb;
mod output;
pub mod translate;

pub use commands::run;
