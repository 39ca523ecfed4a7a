//! What Envoy Gateway refuses of a `telemetry` later.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

pub(in crate::spec) fn stat_name(at: Cursor<'_>, problems: &mut Problems) {
    const KNOWN: [&str; 4] = [
        "ROUTE_NAME",
        "ROUTE_NAMESPACE",
        "ROUTE_KIND",
        "ROUTE_RULE_NAME",
    ];
    let Some(text) = at.string(problems) else {
        return;
    };
    let mut pieces = text.split('%').skip(1);
    while let Some(operator) = pieces.next() {
        let is_closed = pieces.next().is_some();
        if !is_closed || !KNOWN.contains(&operator) {
            let known = KNOWN.map(|name| format!("%{name}%")).join(", ");
            at.refuse(
                problems,
                Code::UnknownOperator,
                format!("must have no other operators than {known}"),
            );
            return;
        }
    }
}
