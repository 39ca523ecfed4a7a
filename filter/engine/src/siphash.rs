//! SipHash-2-4: a keyed hash. Under a key that is known, anybody can work out a
//! sticky decision again; under a secret one, nobody can make collisions. (The
//! standard library's hasher has a key of its own choice, and workers must agree
//! on one.)
//!
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).

/// A hash in the making.
#[derive(Clone, Debug)]
pub(crate) struct SipHasher {
    state: [u64; 4],
    /// Bytes that do not fill a word yet, lowest first.
    tail: u64,
    length: u64,
}

/// The hash of `parts`, one after another, under a 128-bit key given as two
/// little-endian halves.
pub(crate) fn siphash24(key: [u64; 2], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher::new(key);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

impl SipHasher {
    pub(crate) fn new(key: [u64; 2]) -> Self {
        let [low, high] = key;
        Self {
            state: [
                low ^ 0x736f_6d65_7073_6575,
                high ^ 0x646f_7261_6e64_6f6d,
                low ^ 0x6c79_6765_6e65_7261,
                high ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            length: 0,
        }
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = self.length % 8;
            self.tail |= u64::from(*byte) << (place * 8);
            self.length = self.length.wrapping_add(1);
            if place == 7 {
                let word = std::mem::take(&mut self.tail);
                self.absorb(word);
            }
        }
    }

    /// Adds a number.
    pub(crate) fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    /// Adds a value together with its length, so that what follows cannot be
    /// taken for a part of it.
    pub(crate) fn write_value(&mut self, value: &[u8]) {
        self.write_u64(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.write(value);
    }

    pub(crate) fn finish(mut self) -> u64 {
        let word = self.tail | self.length << 56;
        self.absorb(word);
        self.state[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.state.iter().fold(0, |sum, word| sum ^ word)
    }

    fn absorb(&mut self, word: u64) {
        self.state[3] ^= word;
        self.round();
        self.round();
        self.state[0] ^= word;
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::{SipHasher, siphash24};
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

    #[test]
    fn key_and_lengths_matter() {
        let hash = |key, values: [&[u8]; 2]| {
            let mut hasher = SipHasher::new(key);
            values.iter().for_each(|value| hasher.write_value(value));
            hasher.finish()
        };
        assert_ne!(hash([1, 0], [b"a", b"b"]), hash([2, 0], [b"a", b"b"]));
        assert_ne!(hash([1, 0], [b"a", b"bc"]), hash([1, 0], [b"ab", b"c"]));
    }
}
