//! Files as they were read: what commands work on, and findings point into.

use std::cell::OnceCell;
use std::io;

use btp_policy::node::Mark;

use super::work;
use crate::file_error::FileError;

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name, as it was given.
    pub(crate) name: String,
    /// Its content.
    pub(crate) text: String,
    /// Where its lines begin, computed at the first use.
    lines: OnceCell<Vec<usize>>,
}

/// What of a line a finding is about, in bytes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spot<'a> {
    pub(super) line: &'a str,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Source {
    /// A file that is called `name`.
    pub(crate) fn new(name: String, text: String) -> Self {
        Self {
            name,
            text,
            lines: OnceCell::new(),
        }
    }

    /// What came of reading a file that is called `name`.
    ///
    /// # Errors
    /// It could not be read, or is no text.
    pub(crate) fn of(name: String, read: io::Result<Vec<u8>>) -> Result<Self, FileError> {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => return Err(FileError::Unreadable { name, error }),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(_) => Err(FileError::NoText { name }),
        }
    }

    /// What a mark is about in the line that it begins in.
    pub(super) fn spot(&self, mark: Mark) -> Option<Spot<'_>> {
        let line = self.line(mark.line)?;
        let start = bytes(line, mark.column)?;
        let end = match mark.end() {
            Some((last, column)) if last == mark.line => bytes(line, column)?,
            Some(_) => line.trim_end().len(),
            None => start,
        };
        // Something is to be seen, even of what is empty or missing.
        let next = line.get(start..)?.chars().next().map_or(0, char::len_utf8);
        Some(Spot {
            line,
            start,
            end: end.max(start + next),
        })
    }

    /// The line of this number, from 1, without its end.
    fn line(&self, number: u32) -> Option<&str> {
        let lines = self.lines.get_or_init(|| begins(&self.text));
        work::done(1);
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let begin = *lines.get(index)?;
        let end = lines.get(index + 1).copied().unwrap_or(self.text.len());
        let line = self.text.get(begin..end)?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

/// Where the lines of a text begin.
fn begins(text: &str) -> Vec<usize> {
    let mut begins = vec![0];
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    begins.extend(ends.map(|(index, _)| index + 1));
    work::done(begins.len());
    begins
}

/// The bytes of a line in front of a column, which counts characters from 1.
fn bytes(line: &str, column: u32) -> Option<usize> {
    let before = usize::try_from(column).ok()?.checked_sub(1)?;
    Some(line.chars().take(before).map(char::len_utf8).sum())
}

#[cfg(test)]
mod tests {
    use btp_policy::yaml;

    use super::*;

    fn source(text: &str) -> Source {
        Source::new("a.yaml".to_owned(), text.to_owned())
    }

    #[test]
    fn keys_and_values_are_marked_alone() {
        let text = "a: 1 # one\nb\u{e4}b: {c-d: \"x y\", e: [f]}\r\nlist:\n  - g: h\n    i: j\n";
        let source = source(text);
        let document = yaml::parse(text).unwrap().remove(0);
        let marked = |path: &'static str| {
            let path = btp_policy::path::FieldPath::from(path);
            let spot = source.spot(path.closest(&document).mark).unwrap();
            spot.line[spot.start..spot.end].to_owned()
        };
        assert_eq!(marked("a"), "1");
        assert_eq!(marked("b\u{e4}b.c-d"), "\"x y\"");
        assert_eq!(marked("b\u{e4}b"), "{c-d: \"x y\", e: [f]}");
        assert_eq!(marked("b\u{e4}b.e[0]"), "f");
        // Of several lines the first.
        assert_eq!(marked("list[0]"), "g: h");
    }

    #[test]
    fn a_place_without_an_end_is_a_character() {
        let source = source("\u{e4}bc");
        let spot = |line, column| source.spot(Mark::new(line, column));
        let marked = |line, column| {
            let spot = spot(line, column)?;
            Some((spot.start, spot.end))
        };
        assert_eq!(marked(1, 1), Some((0, 2)));
        assert_eq!(marked(1, 4), Some((4, 4)));
    }

    #[test]
    fn places_outside_the_text_are_none() {
        assert_eq!(source("a").spot(Mark::new(9, 1)), None);
        assert_eq!(source("a").spot(Mark::UNKNOWN), None);
        assert!(source("").spot(Mark::new(1, 1)).is_some());
    }
}
