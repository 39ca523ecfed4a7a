//! SipHash-1-3: a keyed hash whose collisions nobody can make who does not
//! know the key. The standard library's has a key of its own choice, and
//! workers must agree on one.
//!
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF".

/// A hash in the making.
#[derive(Clone, Debug)]
pub(crate) struct SipHasher {
    state: [u64; 4],
    /// Bytes that do not fill a word yet, lowest first.
    tail: u64,
    length: u64,
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
        let word = self.tail | (self.length & 0xff) << 56;
        self.absorb(word);
        self.state[2] ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        self.state.iter().fold(0, |sum, word| sum ^ word)
    }

    fn absorb(&mut self, word: u64) {
        self.state[3] ^= word;
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
    use super::SipHasher;
    use std::hash::{DefaultHasher, Hasher};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The standard library's hasher is SipHash-1-3 with a key of zeros.
    #[test]
    fn agrees_with_the_standard_library() {
        let bytes: Vec<u8> = (0..40).collect();
        for length in 0..bytes.len() {
            let mut theirs = DefaultHasher::new();
            theirs.write(&bytes[..length]);
            let mut ours = SipHasher::new([0, 0]);
            ours.write(&bytes[..length]);
            assert_eq!(ours.finish(), theirs.finish(), "{length}");
        }
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
