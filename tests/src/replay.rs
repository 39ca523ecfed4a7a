//! Replays of what the .wasm asks of Envoy: scripts for `tests/replay-wasm`, a filter that
//! makes the same hostcalls as ours and computes nothing, made from Envoy's trace.

mod hostcalls;
mod observed;
mod script;

pub use observed::{Entry, Exchange, Hostcall, Instance, instances};
pub use script::script;
