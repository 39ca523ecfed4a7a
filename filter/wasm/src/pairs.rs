//! Reads and writes the ABI's pairs blocks: how Envoy hands over maps, structs and lists.
//!
//! A block is a count, the sizes of all names and values, then all names and
//! values, each followed by a zero byte; numbers are 32-bit little-endian. A
//! list is a block whose names are the elements (seen on Envoy 1.40). What is
//! malformed ends the reading.

use std::collections::BinaryHeap;

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

/// All entries of a block. The module contains this code once, for all readers of headers.
#[inline(never)]
pub(crate) fn all(block: &[u8]) -> Vec<(&[u8], &[u8])> {
    entries(block).collect()
}

/// Header pairs as the ABI has them: a count, all sizes, then all names
/// and values, each ended by a zero byte.
pub(crate) fn serialize(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(serialized_size(pairs));
    let mut push_size = |size: usize| {
        bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    };
    push_size(pairs.len());
    for (name, value) in pairs {
        push_size(name.len());
        push_size(value.len());
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text);
        bytes.push(0);
    }
    bytes
}

/// How many bytes [`serialize`] gives.
pub(crate) fn serialized_size(pairs: &[(&[u8], &[u8])]) -> usize {
    let texts = pairs
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2);
    4 + pairs.len() * 8 + texts.sum::<usize>()
}

/// The same block, as it is each time: Envoy writes the fields of a struct in
/// an order that changes from request to request. Whatever in it is a block, or
/// holds one, is sorted; the rest stays as it is. `None` if this is no block.
pub(crate) fn in_order(value: &[u8]) -> Option<Vec<u8>> {
    sorted(value, DEPTH)
}

/// What lies deeper stays as it is.
const DEPTH: u32 = 32;

/// `None` if this is no block.
fn sorted(block: &[u8], depth: u32) -> Option<Vec<u8>> {
    let depth = depth.checked_sub(1)?;
    let (count, _) = number(block)?;
    let found = all(block);
    let is_whole = found.len() == count && serialized_size(&found) == block.len();
    if !is_whole {
        return None;
    }
    let part = |part: &[u8]| sorted(part, depth).unwrap_or_else(|| part.to_vec());
    let parts = found.iter().map(|(name, value)| (part(name), part(value)));
    let parts: BinaryHeap<(Vec<u8>, Vec<u8>)> = parts.collect();
    let parts = parts.into_sorted_vec();
    let parts = parts.iter();
    let parts: Vec<(&[u8], &[u8])> = parts
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    Some(serialize(&parts))
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    Some((text, rest.get(1..)?))
}
