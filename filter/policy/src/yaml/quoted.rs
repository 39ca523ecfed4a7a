//! Where a quoted scalar ends. The parser says where it begins, and for the end where
//! the next token does, behind spaces and comments.

use std::iter::Peekable;
use std::str::Chars;

use saphyr_parser::Marker;

use crate::node::Mark;

/// A place in the text that only moves on, so that looking for all ends takes one way
/// through it.
pub(super) struct Cursor<'a> {
    rest: Peekable<Chars<'a>>,
    index: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            index: 0,
        }
    }

    /// The mark of the quoted scalar that begins at `begin`; `mark`, if there is none.
    pub(super) fn quoted(&mut self, begin: &Marker, mark: Mark) -> Mark {
        while self.index < begin.index() && self.next().is_some() {}
        let Some(quote) = self.next().filter(|it| ['"', '\''].contains(it)) else {
            return mark;
        };
        let (mut line, mut column) = (mark.line, mark.column.saturating_add(1));
        let mut is_escaped = false;
        while let Some(character) = self.next() {
            column = column.saturating_add(1);
            let is_return = character == '\r' && self.rest.peek() != Some(&'\n');
            if character == '\n' || is_return {
                (line, column) = (line.saturating_add(1), 1);
            }
            if is_escaped {
                is_escaped = false;
            } else if self.escapes(character, quote) {
                is_escaped = true;
            } else if character == quote {
                return mark.until(line, column);
            }
        }
        mark
    }

    /// Whether a character takes away what the next one means.
    fn escapes(&mut self, character: char, quote: char) -> bool {
        match quote {
            '"' => character == '\\',
            _ => character == quote && self.rest.peek() == Some(&quote),
        }
    }

    fn next(&mut self) -> Option<char> {
        self.index = self.index.saturating_add(1);
        self.rest.next()
    }
}
