//! What a command has found, printed for people or for machines.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use btp_policy::node::Mark;
use btp_policy::problem::Problem;
use btp_policy::{Echo, is_hidden, presentable};
use clap::ValueEnum;
use serde_json::json;

use crate::source::Source;

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: the line, with the spot marked
    Text,
    /// A JSON list
    Json,
    /// Annotations for GitHub Actions
    Github,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The input is refused.
    Error,
    /// The input is taken, and something about it is unwise.
    Warning,
}

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the file with this index.
    File(usize),
    /// Nowhere in particular.
    Nowhere,
}

/// Something a command has to say about its input.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) place: Place,
    pub(crate) problem: Problem,
}

impl Finding {
    pub(crate) fn error(problem: Problem, place: Place) -> Self {
        Self {
            severity: Severity::Error,
            place,
            problem,
        }
    }

    pub(crate) fn warning(problem: Problem, place: Place) -> Self {
        Self {
            severity: Severity::Warning,
            place,
            problem,
        }
    }
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The most findings that are shown to people: each is looked up in its file.
const MOST_SHOWN: usize = 500;

/// Prints all findings; for a machine also if there are none.
pub(crate) fn print(findings: &[Finding], sources: &[Source], format: Format) {
    match format {
        Format::Text => {
            for finding in findings.iter().take(MOST_SHOWN) {
                eprintln!("{}", text(finding, sources));
            }
            let more = findings.len().saturating_sub(MOST_SHOWN);
            if more > 0 {
                eprintln!("and {more} more; --format json has all of them");
            }
        }
        Format::Github => {
            for finding in findings {
                println!("{}", github(finding, sources));
            }
        }
        Format::Json => {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| as_json(finding, sources))
                .collect();
            println!("{:#}", serde_json::Value::from(list));
        }
    }
}

/// Whether nothing was refused.
pub(crate) fn is_fine(findings: &[Finding]) -> bool {
    findings
        .iter()
        .all(|finding| finding.severity != Severity::Error)
}

fn source<'a>(finding: &Finding, sources: &'a [Source]) -> Option<&'a Source> {
    match finding.place {
        Place::File(index) => sources.get(index),
        Place::Nowhere => None,
    }
}

fn text(finding: &Finding, sources: &[Source]) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.clone().primary_title(finding.problem.to_string());
    let Some(source) = source(finding, sources) else {
        return Renderer::plain().render(&[Group::with_title(title)]);
    };
    let mark = finding.problem.mark;
    let Some((line, start, end)) = span(&source.text, mark) else {
        let name = format!("{}: {}", source.name, finding.problem);
        return Renderer::plain().render(&[Group::with_title(level.primary_title(name))]);
    };
    let (line, start, end) = around(line, start, end);
    // The line alone: a large file would be gone through for each finding.
    let snippet = Snippet::source(line)
        .line_start(usize::try_from(mark.line).unwrap_or(1))
        .path(source.name.as_str())
        .annotation(AnnotationKind::Primary.span(start..end));
    Renderer::plain().render(&[title.element(snippet)])
}

fn github(finding: &Finding, sources: &[Source]) -> String {
    let escape = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let mut place = Vec::new();
    if let Some(source) = source(finding, sources) {
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

fn as_json(finding: &Finding, sources: &[Source]) -> serde_json::Value {
    let problem = &finding.problem;
    let known = |number: u32| (number > 0).then_some(number);
    json!({
        "severity": finding.severity.name(),
        "file": source(finding, sources).map(|source| source.name.as_str()),
        "line": known(problem.mark.line),
        "column": known(problem.mark.column),
        "path": problem.path,
        "reason": problem.reason,
        "value": problem.value,
    })
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
