//! Hashes and random numbers: each function that the filter scrambles bits with.
//! All are the same for ever, on every machine, as what they name or key
//! outlives a program.
//!
//! | function | for | withstands attackers |
//! |---|---|---|
//! | [`fnv1a`] | names made of configuration | no |
//! | [`SipHasher`] | data of clients: buckets, sticky samples | under a secret key |
//! | [`SplitMix64`] | samples | no |

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// SipHash-2-4 of parts, one after another. Under a key that is known, anybody
/// can work out a hash again; under a secret one, nobody can make collisions.
/// (The standard library's hasher has a key of its own choice, and workers must
/// agree on one.)
#[derive(Clone, Debug)]
pub struct SipHasher(SipHasher24);

/// A generator of random numbers: Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators" (2014). The same seed draws the same.
#[derive(Clone, Copy, Debug)]
pub struct SplitMix64(u64);

/// FNV-1a, 64 bits, going on from `start`.
#[must_use]
pub fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    let start = (0xcbf2_9ce4_8422_2325 ^ start).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// SipHash-2-4 of `parts`, one after another, under a 128-bit key given as two
/// little-endian halves.
#[must_use]
pub fn siphash24(key: [u64; 2], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher::new(key);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

impl SipHasher {
    /// Under a 128-bit key given as two little-endian halves.
    #[must_use]
    pub fn new([low, high]: [u64; 2]) -> Self {
        Self(SipHasher24::new_with_keys(low, high))
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// Adds a number, in the same order of bytes on every machine.
    pub fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    /// Adds a value together with its length, so that what follows cannot be
    /// taken for a part of it.
    pub fn write_value(&mut self, value: &[u8]) {
        self.write_u64(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.write(value);
    }

    /// The hash of all that was added.
    #[must_use]
    pub fn finish(self) -> u64 {
        self.0.finish()
    }
}

impl SplitMix64 {
    /// How far the state goes for each number drawn.
    pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// A generator with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 uniformly random bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Key 00…0f, messages 00, 01, 02, … of the length that is their index:
    /// the test vectors of the paper's reference implementation.
    #[test]
    fn siphash_has_the_published_vectors() {
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

    /// Buckets of an earlier version of the filter are found by these.
    #[test]
    fn values_hash_as_they_always_have() {
        let mut hasher = SipHasher::new([7, 11]);
        hasher.write_u64(0x0102_0304_0506_0708);
        hasher.write_value(b"client");
        hasher.write_value(b"");
        hasher.write(b"/route");
        assert_eq!(hasher.finish(), 0xca3f_3606_811d_cbbb);
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

    /// Those of Vigna's reference implementation, under this seed.
    #[test]
    fn splitmix_has_the_published_numbers() {
        let mut random = SplitMix64::new(1_234_567);
        let drawn: [u64; 3] = std::array::from_fn(|_| random.draw());
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(drawn, published);
    }

    /// Fowler, Noll and Vo's own, but for one more round at the start.
    #[test]
    fn fnv_goes_on_from_what_it_is_given() {
        assert_eq!(fnv1a(0, b""), fnv1a_of(&[0]));
        assert_eq!(fnv1a(0, b"foobar"), fnv1a_of(b"\0foobar"));
        assert_ne!(fnv1a(1, b"a"), fnv1a(0, b"a"));
    }

    fn fnv1a_of(bytes: &[u8]) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash
    }
}
