//! A hash that is the same for ever, on every machine: for names of what
//! outlives a program. It withstands no attacker.

/// FNV-1a, 64 bits, going on from `start`.
#[must_use]
pub fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    let start = (0xcbf2_9ce4_8422_2325 ^ start).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
