//! Prose in Rust: documentation of items, and the messages in string literals.
//!
//! Code for tests is passed over, and so are strings of fewer than three words and raw
//! strings, which are documents.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};

use crate::text::{Kind, Place, Text};

/// A string with fewer words is a name or a part of a sentence.
const FEWEST_WORDS: usize = 3;

/// Finds all texts of a file.
pub(crate) fn texts(content: &str, messages: bool) -> Result<Vec<Text>> {
    let tokens: TokenStream = content.parse().map_err(|error| anyhow!("{error}"))?;
    let mut reader = Reader {
        lines: content.lines().collect(),
        messages,
        comment: None,
        texts: Vec::new(),
    };
    reader.read(tokens);
    reader.end_comment();
    Ok(reader.texts)
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    messages: bool,
    /// The one that is being read, and its last line.
    comment: Option<(Text, usize)>,
    texts: Vec<Text>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if matches!(tokens.peek(), Some(TokenTree::Punct(it)) if it.as_char() == '!') {
                        tokens.next();
                    }
                    let Some(TokenTree::Group(group)) = tokens.peek().cloned() else {
                        continue;
                    };
                    if group.delimiter() != Delimiter::Bracket {
                        continue;
                    }
                    tokens.next();
                    if is_for_tests(&group) {
                        skip_item(&mut tokens);
                    } else if !self.read_comment(&group) {
                        self.read(group.stream());
                    }
                }
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Literal(literal) if self.messages => self.read_message(&literal),
                _ => {}
            }
        }
    }

    /// Whether the attribute is a line of a comment, which it adds to those above.
    fn read_comment(&mut self, attribute: &Group) -> bool {
        let mut tokens = attribute.stream().into_iter();
        if !matches!(tokens.next(), Some(TokenTree::Ident(name)) if name == "doc") {
            return false;
        }
        let start = attribute.span_open().start();
        let Some(line) = self.lines.get(start.line - 1) else {
            return false;
        };
        let comment: String = line.chars().skip(start.column).collect();
        let Some(text) = ["///", "//!"]
            .iter()
            .find_map(|it| comment.strip_prefix(it))
        else {
            return false;
        };
        let place = Place {
            line: start.line,
            column: start.column + 4,
        };
        self.add_line(text, place);
        true
    }

    fn add_line(&mut self, text: &str, place: Place) {
        if self
            .comment
            .as_ref()
            .is_some_and(|(_, last)| last + 1 != place.line)
        {
            self.end_comment();
        }
        let (comment, last) = self
            .comment
            .get_or_insert_with(|| (Text::new(Kind::Comment), place.line));
        *last = place.line;
        // One space is a matter of style, more of Markdown.
        let (text, column) = match text.strip_prefix(' ') {
            Some(text) => (text, place.column + 1),
            None => (text, place.column),
        };
        let place = Place { column, ..place };
        comment.push_line(text, place);
        comment.push('\n', place);
    }

    fn end_comment(&mut self) {
        self.texts.extend(self.comment.take().map(|(text, _)| text));
    }

    fn read_message(&mut self, literal: &Literal) {
        if !literal.to_string().starts_with('"') {
            return;
        }
        let (start, end) = (literal.span().start(), literal.span().end());
        let mut characters = Vec::new();
        for line in start.line..=end.line {
            let text = self.lines.get(line - 1).copied().unwrap_or_default();
            let from = if line == start.line {
                start.column + 1
            } else {
                0
            };
            let to = if line == end.line {
                end.column - 1
            } else {
                usize::MAX
            };
            for (index, character) in text.chars().enumerate().skip(from) {
                if index < to {
                    let column = index + 1;
                    characters.push((character, Place { line, column }));
                }
            }
            if line != end.line {
                let column = text.chars().count() + 1;
                characters.push(('\n', Place { line, column }));
            }
        }
        let message = unescape(&characters);
        if words(message.content()) >= FEWEST_WORDS {
            self.texts.push(message);
        }
    }
}

/// `#[cfg(test)]`, `#[test]`.
fn is_for_tests(attribute: &Group) -> bool {
    let text = attribute.stream().to_string();
    text == "test" || text.replace(' ', "") == "cfg(test)"
}

/// Passes over what an attribute belongs to.
fn skip_item(tokens: &mut impl Iterator<Item = TokenTree>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

/// What a literal says, as Markdown: what is put in when it is printed is code.
fn unescape(characters: &[(char, Place)]) -> Text {
    let mut text = Text::new(Kind::Message);
    let mut rest = characters.iter().copied().peekable();
    while let Some((character, place)) = rest.next() {
        match character {
            '\\' => match rest.next().map(|(it, _)| it) {
                Some('\n') => while rest.next_if(|(it, _)| it.is_whitespace()).is_some() {},
                Some('n') => text.push('\n', place),
                Some('t') => text.push(' ', place),
                Some('u') => {
                    while rest.next().is_some_and(|(it, _)| it != '}') {}
                    text.push(' ', place);
                }
                Some(other) => text.push(other, place),
                None => {}
            },
            '{' if rest.next_if(|(it, _)| *it == '{').is_none() => {
                text.push('`', place);
                text.push('_', place);
                while rest.next().is_some_and(|(it, _)| it != '}') {}
                text.push('`', place);
            }
            _ => text.push(character, place),
        }
    }
    text
}

fn words(text: &str) -> usize {
    let is_word = |it: &&str| {
        let it = it.trim_matches(|it: char| !it.is_alphanumeric());
        it.len() > 1
            && it
                .chars()
                .all(|it| it.is_alphabetic() || it == '-' || it == '\'')
    };
    text.split_whitespace().filter(is_word).count()
}
