//! The configurations that canaries have accepted, as one value of Envoy's shared data.
//!
//! Envoy loads a configuration in a canary first, then once for each worker. So a new VM
//! that finds its configuration here is a worker's, and the messages about it have been
//! logged.

use btp_engine::Update;
use btp_engine::update::{Acceptance, Acceptances};
use btp_formats::Encoded;

use crate::shared_data;

/// All of them.
pub(crate) fn all() -> Acceptances {
    shared_data::read()
}

/// Changes them, if `change` says so; `false` if that was not possible.
pub(crate) fn update(mut change: impl FnMut(&mut Acceptances) -> bool) -> bool {
    let step = |accepted: &mut Acceptances| {
        if change(accepted) {
            Update::Write(())
        } else {
            Update::Keep(())
        }
    };
    shared_data::create(Acceptances::KEY).is_ok() && shared_data::update(step).is_ok()
}

/// Puts this in force; `false` if it could not be noted.
pub(crate) fn enforce(accepted: Acceptance) -> bool {
    update(|all| all.enforce(accepted))
}

/// FNV-1a, 64 bits.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
