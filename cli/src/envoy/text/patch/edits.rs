//! Changes of a text, each a range and what takes its place.

use std::ops::Range;

/// The changes, to be made at once.
pub(super) struct Edits<'a> {
    text: &'a str,
    line_end: &'static str,
    all: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let is_crlf = text.find('\n').is_some_and(|it| text[..it].ends_with('\r'));
        Self {
            text,
            line_end: if is_crlf { "\r\n" } else { "\n" },
            all: Vec::new(),
        }
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: String) {
        self.all.push((range, text));
    }

    /// With the line ends of the text.
    pub(super) fn with_line_ends(&self, text: &str) -> String {
        text.replace('\n', self.line_end)
    }

    /// The text with all changes. What goes to one place stays in its order.
    pub(super) fn apply(mut self) -> String {
        self.all.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::new();
        let mut done = 0;
        for (range, text) in &self.all {
            out.push_str(self.text.get(done..range.start).unwrap_or_default());
            out.push_str(text);
            done = done.max(range.end);
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out
    }
}

/// The end of the line that a place is in, without `\n` or `\r\n`.
pub(super) fn end_of_line(text: &str, place: usize) -> usize {
    let rest = text.get(place..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    place + line.strip_suffix('\r').unwrap_or(line).len()
}

/// How many characters of its line are before a place.
pub(super) fn column(text: &str, place: usize) -> usize {
    before(text, place).chars().count()
}

/// Whether a place is the first in its line.
pub(super) fn is_first_in_line(text: &str, place: usize) -> bool {
    before(text, place).trim().is_empty()
}

/// How deep the line of a place is indented.
pub(super) fn indent(text: &str, place: usize) -> usize {
    let line = before(text, place);
    line.len() - line.trim_start().len()
}

fn before(text: &str, place: usize) -> &str {
    let head = text.get(..place).unwrap_or_default();
    let line = head.rfind('\n').map_or(0, |it| it + 1);
    head.get(line..)
        .unwrap_or_default()
        .trim_start_matches('\u{feff}')
}
