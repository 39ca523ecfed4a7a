//! What Envoy Gateway refuses of a `bandwidthLimit` later.

use crate::code::Code;
use crate::node::Node;
use crate::path::Path;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::{HeaderName, Quantity};

/// Envoy counts in whole KiB per second.
pub(in crate::spec) fn bandwidth(at: Cursor<'_>, problems: &mut Problems) {
    let seconds = match at.node.field("unit").and_then(Node::as_str) {
        Some("Minute") => 60,
        Some("Hour") => 3_600,
        _ => 1,
    };
    let Some(node) = at.node.field("value") else {
        return;
    };
    let path = Path::Field(&at.path, "value");
    let at = Cursor { node, path };
    if let Some(value) = Quantity::read(at, problems)
        && value.get() < seconds * 1024
    {
        at.refuse(
            problems,
            Code::QuantityOutOfBounds,
            "must be at least 1 KiB per second, Envoy's unit",
        );
    }
}

/// Envoy takes any text, and clients get names of trailers that are none.
pub(in crate::spec) fn prefix(at: Cursor<'_>, problems: &mut Problems) {
    if let Some(prefix) = at.string(problems)
        && !prefix.is_empty()
        && HeaderName::new(prefix).is_none()
    {
        let reason = "must have characters of header names only (RFC 9110)";
        at.refuse(problems, Code::MalformedHeaderName, reason);
    }
}
