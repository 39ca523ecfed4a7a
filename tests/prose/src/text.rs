//! A piece of prose, and where each of its characters is in a file.

/// What a text is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A page of Markdown.
    Page,
    /// A message that the programs print: often no whole sentence.
    Message,
    /// Documentation of Rust items.
    Comment,
}

/// A place in a file; lines and columns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Markdown.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) kind: Kind,
    content: String,
    /// One for each character of the content.
    places: Vec<Place>,
}

impl Text {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            content: String::new(),
            places: Vec::new(),
        }
    }

    /// A whole file.
    pub(crate) fn page(content: &str) -> Self {
        let mut page = Self::new(Kind::Page);
        for (line, text) in (1..).zip(content.split_inclusive('\n')) {
            page.push_line(text, Place { line, column: 1 });
        }
        page
    }

    pub(crate) fn push(&mut self, character: char, place: Place) {
        self.content.push(character);
        self.places.push(place);
    }

    /// What follows on one line.
    pub(crate) fn push_line(&mut self, text: &str, Place { line, column }: Place) {
        for (column, character) in (column..).zip(text.chars()) {
            self.push(character, Place { line, column });
        }
    }

    pub(crate) fn content(&self) -> &str {
        &self.content
    }

    /// Where a character of the content is in the file.
    pub(crate) fn place(&self, index: usize) -> Place {
        let last = || self.places.last().copied();
        let place = self.places.get(index).copied().or_else(last);
        place.unwrap_or(Place { line: 1, column: 1 })
    }
}
