//! Numbers in bytes.

/// The bytes of a value that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next so many bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(slice)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The words of a value.
pub(crate) fn words(value: &[u8]) -> Vec<u64> {
    let words = value.as_chunks().0.iter().copied();
    words.map(u64::from_le_bytes).collect()
}

/// The value of these words.
pub(crate) fn of_words(words: &[u64]) -> Vec<u8> {
    let mut value = vec![0; size_of_val(words)];
    let (places, _) = value.as_chunks_mut();
    for (place, word) in places.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    value
}

/// The lower and the upper half of a word.
pub(crate) fn halves(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

/// The word of these halves.
pub(crate) fn of_halves(lower: u32, upper: u32) -> u64 {
    u64::from(upper) << u32::BITS | u64::from(lower)
}
