//! What `top.rs` plays with.

pub(crate) mod admin;
mod screen;
pub(crate) mod terminal;
