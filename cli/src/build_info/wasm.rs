//! The section of a .wasm.

use super::Silent;

/// As `cargo xtask build` calls it.
const NAME: &[u8] = b"btp.version";

/// The length of the header before the sections: magic number and version of the format.
const HEAD: usize = 8;

const CUSTOM: u8 = 0;

const ENDS: Silent = Silent::Broken("a section is longer than the file");

/// What is in the section; `None`: there is none of this name.
pub(super) fn section(file: &[u8]) -> Result<Option<&[u8]>, Silent> {
    let mut rest = file.get(HEAD..).ok_or(ENDS)?;
    while let Some((kind, after)) = rest.split_first() {
        let (section, after) = sized(after).ok_or(ENDS)?;
        rest = after;
        if *kind == CUSTOM {
            let (name, content) = sized(section).ok_or(ENDS)?;
            if name == NAME {
                return Ok(Some(content));
            }
        }
    }
    Ok(None)
}

/// Bytes with their length in front, and what comes after them.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = leb128(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A number of 32 bits, seven of them in each byte.
fn leb128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number: u64 = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(number).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}
