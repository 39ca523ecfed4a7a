//! SipHash-2-4: sticky decisions that anybody can work out again.
//!
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).

/// The 64-bit SipHash-2-4 of `parts`, one after another, under a 128-bit key
/// given as two little-endian halves.
pub(crate) fn siphash24(key: [u64; 2], parts: &[&[u8]]) -> u64 {
    let [k0, k1] = key;
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (mut word, mut length) = (0_u64, 0_u64);
    for byte in parts.iter().copied().flatten() {
        word |= u64::from(*byte) << (8 * (length % 8));
        length = length.wrapping_add(1);
        if length.is_multiple_of(8) {
            absorb(&mut state, word);
            word = 0;
        }
    }
    absorb(&mut state, word | length << 56);
    let [_, _, v2, _] = &mut state;
    *v2 ^= 0xff;
    for _ in 0..4 {
        round(&mut state);
    }
    state.iter().fold(0, |hash, word| hash ^ word)
}

fn absorb(state: &mut [u64; 4], word: u64) {
    let [_, _, _, v3] = state;
    *v3 ^= word;
    round(state);
    round(state);
    let [v0, ..] = state;
    *v0 ^= word;
}

fn round(state: &mut [u64; 4]) {
    let [v0, v1, v2, v3] = state;
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::siphash24;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Key 00…0f, messages 00, 01, 02, … of the length that is their index:
    /// the test vectors of the paper's reference implementation.
    #[test]
    fn the_published_vectors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let message: Vec<u8> = (0..16).collect();
        for (length, hash) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (2, 0x0d6c_8009_d9a9_4f5a),
            (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462),
            (9, 0x9e00_82df_0ba9_e4b0),
            (15, 0xa129_ca61_49be_45e5),
        ] {
            assert_eq!(siphash24(key, &[&message[..length]]), hash, "{length}");
        }
    }

    #[test]
    fn parts_are_one_message() {
        let whole = siphash24([1, 2], &[b"over eight bytes"]);
        assert_eq!(siphash24([1, 2], &[b"over ", b"", b"eight bytes"]), whole);
        assert_ne!(siphash24([1, 3], &[b"over eight bytes"]), whole);
    }
}
