//! A finding for people: its line, with the spot marked.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use btp_policy::{Echo, is_hidden, presentable};

use super::source::Spot;
use super::{Finding, Severity, Source, source_of};

/// What makes findings text, for a place with colours or without.
pub(super) fn renderer(has_colours: bool) -> Renderer {
    match has_colours {
        true => Renderer::styled(),
        false => Renderer::plain(),
    }
}

/// The finding as text, with what `note` adds.
pub(super) fn shown(
    finding: &Finding,
    note: Option<String>,
    sources: &[Source],
    renderer: &Renderer,
) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = |text: String| {
        let id = finding.problem.code.to_string();
        level.clone().primary_title(text).id(id)
    };
    let note = note.map(|note| Level::NOTE.message(note));
    let text = finding.problem.to_string();
    let Some(source) = source_of(finding, sources) else {
        return renderer.render(&[Group::with_title(title(text)).elements(note)]);
    };
    let name = presentable(&source.name);
    let mark = finding.problem.mark;
    let Some(Spot { line, start, end }) = source.spot(mark) else {
        let group = Group::with_title(title(format!("{name}: {text}")));
        return renderer.render(&[group.elements(note)]);
    };
    let (line, start, end) = around(line, start, end);
    // The line alone: a large file would be gone through for each finding.
    let snippet = Snippet::source(line)
        .line_start(usize::try_from(mark.line).unwrap_or(1))
        .path(&*name)
        .annotation(AnnotationKind::Primary.span(start..end));
    renderer.render(&[title(text).element(snippet).elements(note)])
}

/// What is shown of a line: what is marked, and something around it. A
/// terminal must not see control characters, nor lines of megabytes.
fn around(line: &str, start: usize, end: usize) -> (String, usize, usize) {
    const AROUND: usize = 120;
    const LONG: usize = 4_096;
    if line.len() <= LONG && !line.contains(|it| it != '\t' && is_hidden(it)) {
        return (line.to_owned(), start, end);
    }
    let piece = |from: usize, to: usize| line.get(from..to).unwrap_or_default();
    let before: Vec<char> = piece(0, start).chars().rev().take(AROUND).collect();
    let before: String = before
        .into_iter()
        .rev()
        .collect::<String>()
        .replace('\t', " ");
    let after: String = piece(end, line.len()).chars().take(AROUND).collect();
    let (before, after) = (presentable(&before), presentable(&after));
    let marked = Echo(piece(start, end)).to_string();
    let (start, end) = (before.len(), before.len() + marked.len());
    (format!("{before}{marked}{after}"), start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_only_what_is_around_is_shown_and_nothing_hidden() {
        let line = format!(
            "{}\u{202e}key: \0v{}",
            "x".repeat(1_000_000),
            "y".repeat(1_000_000)
        );
        let start = line.find("key").unwrap();
        let (shown, from, to) = around(&line, start, start + 3);
        assert_eq!(&shown[from..to], "key");
        assert!(shown.chars().count() < 300 && !shown.chars().any(btp_policy::is_hidden));
        assert_eq!(around("a: b", 0, 1), ("a: b".to_owned(), 0, 1));
    }
}
