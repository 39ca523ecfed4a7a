//! Headers that are safe to put on the wire.

use super::header_name::HeaderName;
use super::template::Template;
use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

/// A header that a policy writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name.
    pub name: HeaderName,
    /// Value.
    pub value: Template,
}

/// Reads a header value: 1 to 4096 bytes without control characters
/// (RFC 9110 §5.5).
pub fn read_header_value<'a>(at: Cursor<'a>, problems: &mut Problems) -> Option<&'a str> {
    let value = at.string_of(1..=4096, problems)?;
    if value
        .bytes()
        .any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
    {
        at.refuse(
            problems,
            Code::MalformedHeaderValue,
            "must not contain control characters",
        );
        return None;
    }
    Some(value)
}
