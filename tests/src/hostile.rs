//! Hostile clients and a hostile upstream against an Envoy with everything
//! switched on, and what must hold all the same.
//!
//! Clients write raw HTTP/1 bytes and HTTP/2 frames ([`attack`]), the upstream
//! answers badly on purpose ([`upstream`]); honest clients and updates of the
//! configuration run beside them. After each [`round`] the [`guarantees`] are
//! asked. `tests/tests/hostile.rs` is the short run, `cargo xtask campaign`
//! the long one, which writes the [`page`]. All of it is loopback only, and
//! drawn from a seed.

pub mod attack;
pub mod dice;
pub mod frames;
mod fuzzing;
pub mod guarantees;
pub mod h2;
pub mod honest;
pub mod hpack;
pub mod page;
pub mod policies;
pub mod round;
pub mod stage;
pub mod upstream;
