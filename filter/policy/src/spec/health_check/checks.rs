//! What Envoy refuses of a `healthCheck`, tried on Envoy 1.40.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

pub(in crate::spec) fn path(at: Cursor<'_>, problems: &mut Problems) {
    let fine =
        |text: &str| text.starts_with('/') && text.bytes().all(|it| (0x21..0x7f).contains(&it));
    if at.string(problems).is_some_and(|text| !fine(text)) {
        at.refuse(
            problems,
            Code::MalformedPath,
            "must begin with / and have printable ASCII characters only, no spaces",
        );
    }
}

pub(in crate::spec) fn method(at: Cursor<'_>, problems: &mut Problems) {
    const METHODS: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH",
    ];
    let known = |method: &str| {
        let is_it = |name: &&str| name.eq_ignore_ascii_case(method);
        method.is_empty() || METHODS.iter().any(is_it)
    };
    if at.string(problems).is_some_and(|method| !known(method)) {
        at.refuse(
            problems,
            Code::MalformedMethod,
            format!("must be one of {}", METHODS.join(", ")),
        );
    }
}

pub(in crate::spec) fn payload(at: Cursor<'_>, problems: &mut Problems) {
    if at.string(problems) == Some("") {
        at.refuse(problems, Code::TextLength, "must not be empty");
    }
}
