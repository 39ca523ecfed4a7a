//! Reads the ABI's pairs blocks: how Envoy hands over maps, structs and lists.
//!
//! A block is a count, the sizes of all names and values, then all names and
//! values, each followed by a zero byte; numbers are 32-bit little-endian. A
//! list is a block whose names are the elements (seen on Envoy 1.40). What is
//! malformed ends the reading.

/// The entries of a block.
pub(crate) fn entries(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    const SIZES: usize = 8;
    let (count, rest) = number(block).unwrap_or((0, &[]));
    let sizes = count.saturating_mul(SIZES);
    let (mut sizes, mut texts) = rest.split_at_checked(sizes).unwrap_or((&[], &[]));
    std::iter::from_fn(move || {
        let (name, after) = number(sizes)?;
        let (value, after) = number(after)?;
        sizes = after;
        let (name, after) = text(texts, name)?;
        let (value, after) = text(after, value)?;
        texts = after;
        Some((name, value))
    })
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    Some((text, rest.get(1..)?))
}
