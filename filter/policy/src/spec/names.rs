//! Names that several fields write into messages, and Envoy takes however they are.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::HeaderName;

pub(in crate::spec) fn header_name(at: Cursor<'_>, problems: &mut Problems) {
    HeaderName::read(at, problems);
}

/// RFC 6265: a token, as the name of a header is.
pub(in crate::spec) fn cookie_name(at: Cursor<'_>, problems: &mut Problems) {
    if at
        .string(problems)
        .is_some_and(|name| HeaderName::new(name).is_none())
    {
        at.refuse(
            problems,
            Code::MalformedCookie,
            "must be a cookie name: 1 to 256 token characters",
        );
    }
}
