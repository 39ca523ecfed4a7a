//! Names of rules and classes: they are parts of the names of metrics.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::is_dns_label;

/// Reads a DNS label (RFC 1123).
pub(crate) fn read_name<'a>(at: Cursor<'a>, problems: &mut Problems) -> Option<&'a str> {
    let name = at.string(problems)?;
    if !is_dns_label(name) {
        at.refuse(
            problems,
            Code::MalformedName,
            "must be a DNS label: 1 to 63 of a-z, 0-9 and -, not at the ends",
        );
        return None;
    }
    Some(name)
}
