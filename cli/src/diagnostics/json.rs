//! A finding for programs.

use serde_json::json;

use super::{Finding, Source, source_of, work};

/// The finding as an object.
pub(super) fn shown(finding: &Finding, sources: &[Source]) -> serde_json::Value {
    work::done(1);
    let problem = &finding.problem;
    let known = |number: u32| (number > 0).then_some(number);
    let end = problem.mark.end();
    json!({
        "code": problem.code.to_string(),
        "severity": finding.severity.name(),
        "file": source_of(finding, sources).map(|source| source.name.as_str()),
        "line": known(problem.mark.line),
        "column": known(problem.mark.column),
        "endLine": end.map(|(line, _)| line),
        "endColumn": end.map(|(_, column)| column),
        "path": problem.path.to_string(),
        "reason": problem.reason,
        "value": problem.value,
    })
}
