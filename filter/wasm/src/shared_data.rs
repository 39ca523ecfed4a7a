//! Values of Envoy's shared data, among them the engine's blocks and tables:
//! one key each.
//!
//! A key that does not exist is created whatever version is asked for, so
//! that two who create it at the same time overwrite each other. All keys are
//! therefore created when a configuration is loaded, which Envoy does in one
//! canary before any worker, and nobody empties them afterwards: they outlive
//! updates of the configuration and workers that die. Keys are never freed;
//! their names come from the configuration only.

use btp_engine::{Contended, Step};

use crate::abi;

/// Others may get in between so often before an update is given up. Between
/// two workers at full speed every fifth attempt fails.
const TRIES: usize = 64;

/// Creates a key that does not exist yet.
pub(crate) fn create(key: &str) -> Result<(), String> {
    if abi::shared_data(key).is_some() {
        return Ok(());
    }
    abi::set_shared_data(key, &[], 0)
        .map_err(|refused| format!("Envoy refuses shared data {key}: {refused:?}"))
}

/// Shows `step` the value of a key that has been created, and writes back what
/// it makes of it, if it says so.
pub(crate) fn update<T>(
    key: &str,
    mut step: impl FnMut(&mut Vec<u8>) -> Step<T>,
) -> Result<T, Contended> {
    for _ in 0..TRIES {
        let (mut bytes, version) = abi::shared_data(key).ok_or(Contended)?;
        match step(&mut bytes) {
            Step::Keep(value) => return Ok(value),
            Step::Write(value) => {
                if abi::set_shared_data(key, &bytes, version).is_ok() {
                    return Ok(value);
                }
            }
        }
    }
    Err(Contended)
}
