//! Says things about a configuration once, though every worker loads it.
//!
//! Envoy loads a configuration in a canary first, then once for each worker.
//! Which configurations have been announced is kept in one shared value.

use crate::abi;

/// Its format is version 0 (`btp_engine::versioned_key`): hashes of eight bytes.
const KEY: &str = "btp.announced";
const HASH_SIZE: usize = 8;

/// The most configurations that are remembered.
const MOST: usize = 64;

/// Whether this is the first to load this configuration. Two workers that
/// ask at the same time may both be told so, which the canary makes rare.
pub(crate) fn is_first(configuration: &[u8]) -> bool {
    let hash = fnv1a(configuration).to_le_bytes();
    let (mut announced, cas) = abi::shared_data(KEY).unwrap_or_default();
    if announced.chunks(HASH_SIZE).any(|other| other == hash) {
        return false;
    }
    announced.extend_from_slice(&hash);
    let surplus = announced.len().saturating_sub(MOST * HASH_SIZE);
    announced.drain(..surplus);
    abi::set_shared_data(KEY, &announced, cas).is_ok()
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
