//! What canaries have accepted, as one value of Envoy's shared data.
//!
//! Envoy loads a configuration in a canary first, then once for each worker. So
//! a new VM that finds its configuration here is a worker's, and what there is
//! to say of a configuration has been said.

use btp_engine::Step;
use btp_engine::update::{Acceptance, Acceptances};

use crate::{abi, shared_data};

/// The number is that of the value's format.
const KEY: &str = "btp.accepted.1";

/// All of them.
pub(crate) fn all() -> Acceptances {
    let (bytes, _) = abi::shared_data(KEY).unwrap_or_default();
    Acceptances::from_bytes(&bytes)
}

/// Changes them, if `change` says so; `false` if that was not possible.
pub(crate) fn update(mut change: impl FnMut(&mut Acceptances) -> bool) -> bool {
    let step = |bytes: &mut Vec<u8>| {
        let mut accepted = Acceptances::from_bytes(bytes);
        if !change(&mut accepted) {
            return Step::Keep(());
        }
        *bytes = accepted.to_bytes();
        Step::Write(())
    };
    shared_data::create(KEY).is_ok() && shared_data::update(KEY, step).is_ok()
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
