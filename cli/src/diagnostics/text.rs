//! A finding for people: the line that it is in, with the spot marked.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use btp_policy::node::Mark;
use btp_policy::{Echo, is_hidden, presentable};

use super::{Finding, Severity, Source, source_of};

/// What makes findings text, for a place with colours or without.
pub(super) fn renderer(has_colours: bool) -> Renderer {
    match has_colours {
        true => Renderer::styled(),
        false => Renderer::plain(),
    }
}

/// The finding as text.
pub(super) fn shown(finding: &Finding, sources: &[Source], renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.clone().primary_title(finding.problem.to_string());
    let Some(source) = source_of(finding, sources) else {
        return renderer.render(&[Group::with_title(title)]);
    };
    let mark = finding.problem.mark;
    let Some((line, start, end)) = span(&source.text, mark) else {
        let name = format!("{}: {}", source.name, finding.problem);
        return renderer.render(&[Group::with_title(level.primary_title(name))]);
    };
    let (line, start, end) = around(line, start, end);
    // The line alone: a large file would be gone through for each finding.
    let snippet = Snippet::source(line)
        .line_start(usize::try_from(mark.line).unwrap_or(1))
        .path(source.name.as_str())
        .annotation(AnnotationKind::Primary.span(start..end));
    renderer.render(&[title.element(snippet)])
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

/// The line of `mark`, and the bytes of it to underline: the key or value
/// that begins there.
fn span(text: &str, mark: Mark) -> Option<(&str, usize, usize)> {
    let index = usize::try_from(mark.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(mark.column).ok()?.checked_sub(1)?;
    let line = text.lines().nth(index).or((index == 0).then_some(""))?;
    let start: usize = line.chars().take(column).map(char::len_utf8).sum();
    let length = token(line.get(start..)?);
    let least = usize::from(start < line.len());
    Some((line, start, start + length.max(least)))
}

/// Length of the key or value at the beginning of `rest`.
fn token(rest: &str) -> usize {
    if let Some(quote @ ('"' | '\'')) = rest.chars().next() {
        let end = rest.get(1..).and_then(|tail| tail.find(quote));
        return end.map_or(rest.len(), |end| end + 2);
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
    let name = rest.bytes().take_while(|byte| is_name(byte)).count();
    let tail = rest.get(name..).unwrap_or("");
    if name > 0 && (tail.starts_with(": ") || tail == ":" || tail.starts_with([',', '}', ']'])) {
        return name;
    }
    let value = rest.find(" #").map_or(rest, |end| &rest[..end]);
    value.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, line: u32, column: u32) -> &str {
        let (line, start, end) = span(text, Mark { line, column }).unwrap();
        &line[start..end]
    }

    #[test]
    fn keys_and_values_are_marked_alone() {
        let text = "a: 1 # one\nbäb: {c-d: \"x y\", e: [f]}\n";
        assert_eq!(marked(text, 1, 1), "a");
        assert_eq!(marked(text, 1, 4), "1");
        assert_eq!(marked(text, 2, 7), "c-d");
        assert_eq!(marked(text, 2, 12), "\"x y\"");
        assert_eq!(marked(text, 2, 23), "f");
    }

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

    #[test]
    fn places_outside_the_text_are_none() {
        assert_eq!(span("a", Mark { line: 9, column: 1 }), None);
        assert_eq!(span("a", Mark::UNKNOWN), None);
        assert!(span("", Mark { line: 1, column: 1 }).is_some());
    }
}
