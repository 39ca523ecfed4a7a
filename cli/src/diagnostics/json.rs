//! A finding for programs.

use serde_json::json;

use super::{Finding, Source, source_of};

/// The finding as an object.
pub(super) fn shown(finding: &Finding, sources: &[Source]) -> serde_json::Value {
    let problem = &finding.problem;
    let known = |number: u32| (number > 0).then_some(number);
    json!({
        "severity": finding.severity.name(),
        "file": source_of(finding, sources).map(|source| source.name.as_str()),
        "line": known(problem.mark.line),
        "column": known(problem.mark.column),
        "path": problem.path,
        "reason": problem.reason,
        "value": problem.value,
    })
}
