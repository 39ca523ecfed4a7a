//! What Envoy refuses of an `httpUpgrade`, tried on Envoy 1.40.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::HeaderName;

pub(in crate::spec) fn upgrade(at: Cursor<'_>, problems: &mut Problems) {
    let is_token = |text: &str| HeaderName::new(text).is_some();
    let fine = |text: &str| text.split('/').all(is_token) && text.split('/').count() <= 2;
    if at.string(problems).is_some_and(|text| !fine(text)) {
        at.refuse(
            problems,
            Code::MalformedProtocol,
            "must be a protocol such as websocket or spdy/3.1",
        );
    }
}
