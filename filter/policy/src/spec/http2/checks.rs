//! What Envoy refuses of `http2`, tried on Envoy 1.40.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

pub(in crate::spec) fn keepalive(at: Cursor<'_>, problems: &mut Problems) {
    let has = |name| at.node.field(name).is_some();
    if !has("timeout") {
        at.refuse(
            problems,
            Code::MissingField,
            "must have a timeout: how long Envoy waits for the answer to a ping",
        );
    }
    if !has("interval") && !has("idleInterval") {
        at.refuse(
            problems,
            Code::NoneOfFields,
            "must have an interval or an idleInterval",
        );
    }
}
