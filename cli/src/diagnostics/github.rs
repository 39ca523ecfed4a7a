//! A finding as an annotation of GitHub Actions.

use super::{Finding, Source, source_of, work};

/// The workflow command that makes the annotation.
pub(super) fn shown(finding: &Finding, sources: &[Source]) -> String {
    work::done(1);
    let escape = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let mut place = Vec::new();
    if let Some(source) = source_of(finding, sources) {
        let name = escape(&source.name).replace(':', "%3A").replace(',', "%2C");
        place.push(format!("file={name}"));
    }
    let mark = finding.problem.mark;
    if mark.is_known() {
        place.push(format!("line={},col={}", mark.line, mark.column));
        if let Some((line, column)) = mark.end() {
            // The last column, and not the one behind it.
            let column = column.saturating_sub(1).max(1);
            place.push(format!("endLine={line},endColumn={column}"));
        }
    }
    place.push(format!("title={}", finding.problem.code));
    let message = escape(&finding.problem.to_string());
    let level = finding.severity.name();
    format!("::{level} {}::{message}", place.join(","))
}
