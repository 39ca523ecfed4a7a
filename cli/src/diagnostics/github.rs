//! A finding as an annotation of GitHub Actions.

use super::{Finding, Source, source_of};

/// The workflow command that makes the annotation.
pub(super) fn shown(finding: &Finding, sources: &[Source]) -> String {
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
    }
    let message = escape(&finding.problem.to_string());
    let level = finding.severity.name();
    format!("::{level} {}::{message}", place.join(","))
}
