//! The place of each value in a text, byte by byte: a change replaces these bytes and no
//! others.
//!
//! The tree of places has the shape of the tree of values. A YAML parser's events give the
//! places of tokens. This module computes where a value begins and ends for a person, with
//! its dash, its anchor and its blank lines.

mod json;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Where a value stands.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its first byte, anchor and tag included.
    pub(crate) start: usize,
    /// Its first byte without them.
    pub(crate) content: usize,
    /// Behind its last byte.
    pub(crate) end: usize,
    /// The number of its anchor; 0 is none.
    pub(crate) anchor: usize,
    /// Whether it has a tag.
    pub(crate) is_tagged: bool,
    pub(crate) kind: Kind,
}

/// How a value was written.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Not at all: null.
    Nothing,
    Scalar,
    /// A text after `|` or `>`.
    Block,
    /// `*a`, by the number of the anchor.
    Alias(usize),
    List(Children),
    Map(Children),
    /// In a way that is only ever replaced as a whole.
    Opaque,
}

/// The items of a list, or the entries of an object.
#[derive(Debug)]
pub(crate) struct Children {
    /// Whether they are in brackets.
    pub(crate) is_flow: bool,
    pub(crate) all: Vec<Child>,
}

/// An item, or an entry.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its first byte: of the dash, of the key, or of an item in brackets.
    pub(crate) start: usize,
    /// Behind the dash or the colon; the first byte of an item in brackets.
    pub(crate) from: usize,
    pub(crate) place: Place,
}

impl Place {
    /// Where the values of a YAML text stand that has been read before;
    /// `None` if it holds none.
    pub(crate) fn of_yaml(text: &str) -> Option<Self> {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let offset = text.len() - body.len();
        let mut bytes: Vec<usize> = body.char_indices().map(|it| it.0 + offset).collect();
        bytes.push(text.len());
        let mut raw = raw_tree(body, &bytes)?;
        let start = raw.start;
        Reader { text }.settle(&mut raw, start);
        Some(raw)
    }

    /// The same for JSON.
    pub(crate) fn of_json(text: &str) -> Option<Self> {
        json::read(text)
    }

    /// The items or entries, if it has any.
    pub(crate) fn children(&self) -> &[Child] {
        match &self.kind {
            Kind::List(children) | Kind::Map(children) => &children.all,
            _ => &[],
        }
    }

    /// Whether the last thing in it is a text after `|` or `>`.
    pub(crate) fn ends_in_block(&self) -> bool {
        match self.children().last() {
            Some(last) => last.place.ends_in_block(),
            None => matches!(self.kind, Kind::Block),
        }
    }

    /// Whether anything in it is an alias.
    pub(crate) fn has_alias(&self) -> bool {
        matches!(self.kind, Kind::Alias(_)) || self.children().iter().any(|it| it.place.has_alias())
    }

    fn new(kind: Kind, start: usize, end: usize) -> Self {
        Self {
            start,
            content: start,
            end,
            anchor: 0,
            is_tagged: false,
            kind,
        }
    }
}

/// The tree with the places that the parser tells. Keys are children of
/// their own here, in front of their values.
fn raw_tree(body: &str, bytes: &[usize]) -> Option<Place> {
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    let range = |span: Span| (at(span.start.index()), at(span.end.index()));
    let mut open: Vec<Place> = Vec::new();
    for event in Parser::new_from_str(body) {
        let (event, span) = event.ok()?;
        let (start, end) = range(span);
        let closed = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => Kind::Block,
                    ScalarStyle::Plain if text.is_empty() => Kind::Nothing,
                    _ => Kind::Scalar,
                };
                Some(Place {
                    anchor,
                    is_tagged: tag.is_some(),
                    ..Place::new(kind, start, end)
                })
            }
            Event::Alias(anchor) => Some(Place::new(Kind::Alias(anchor), start, end)),
            Event::SequenceStart(anchor, ref tag) | Event::MappingStart(anchor, ref tag) => {
                let children = Children {
                    is_flow: false,
                    all: Vec::new(),
                };
                let kind = match event {
                    Event::SequenceStart(..) => Kind::List(children),
                    _ => Kind::Map(children),
                };
                open.push(Place {
                    anchor,
                    is_tagged: tag.is_some(),
                    ..Place::new(kind, start, end)
                });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let mut place = open.pop()?;
                place.end = end;
                Some(place)
            }
            _ => None,
        };
        let Some(place) = closed else { continue };
        match open.last_mut().map(|it| &mut it.kind) {
            None => return Some(place),
            Some(Kind::List(children) | Kind::Map(children)) => children.all.push(Child {
                start: place.start,
                from: place.start,
                place,
            }),
            Some(_) => return None,
        }
    }
    None
}

/// Works out where values begin and end.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    /// `from`: behind the colon, the dash or the bracket that it follows.
    fn settle(&self, place: &mut Place, from: usize) {
        if matches!(place.kind, Kind::Nothing) && place.anchor == 0 && !place.is_tagged {
            *place = Place::new(Kind::Nothing, from, from);
            return;
        }
        place.start = self.skip(from);
        place.content = self.skip_properties(place.start);
        let opening = self.byte(place.content);
        match &mut place.kind {
            Kind::Nothing => place.kind = Kind::Opaque,
            Kind::Block => place.end = self.end_of_block(place.content, place.end),
            Kind::List(children) => {
                children.is_flow = opening == Some(b'[');
                if children.is_flow {
                    self.settle_flow_items(&mut children.all);
                    place.end = self.closed(&children.all, place.content);
                } else {
                    place.content = self.settle_items(&mut children.all, place.start);
                    place.end = last_end(&children.all, place.end);
                }
            }
            Kind::Map(children) => {
                children.is_flow = opening == Some(b'{');
                let is_flow = children.is_flow;
                let end = place.end;
                let Some(entries) = self.entries(std::mem::take(&mut children.all)) else {
                    place.kind = Kind::Opaque;
                    place.end = self.trimmed(place.end);
                    return;
                };
                children.all = entries;
                place.end = match is_flow {
                    true => self.closed(&children.all, place.content),
                    false => last_end(&children.all, end),
                };
            }
            Kind::Scalar if matches!(opening, Some(b'"' | b'\'')) => {
                place.end = self.end_of_quotes(place.content);
            }
            Kind::Scalar | Kind::Alias(_) | Kind::Opaque => {
                place.end = self.trimmed(place.end).max(place.content);
            }
        }
    }

    /// Yields where the first dash is.
    fn settle_items(&self, items: &mut [Child], start: usize) -> usize {
        let mut from = start;
        for item in items.iter_mut() {
            item.start = self.skip(self.skip_properties(from));
            item.from = item.start + 1;
            self.settle(&mut item.place, item.from);
            from = item.place.end;
        }
        items.first().map_or(start, |it| it.start)
    }

    fn settle_flow_items(&self, items: &mut [Child]) {
        for item in items {
            let from = item.place.start;
            self.settle(&mut item.place, from);
            item.start = item.place.start;
            item.from = item.start;
        }
    }

    /// Keys and values in turns as entries; `None` if one is written in an
    /// unusual way.
    fn entries(&self, turns: Vec<Child>) -> Option<Vec<Child>> {
        let mut entries = Vec::new();
        let mut turns = turns.into_iter();
        while let (Some(key), Some(value)) = (turns.next(), turns.next()) {
            let start = key.place.start;
            let end = match self.byte(start) {
                Some(b'"' | b'\'') => self.end_of_quotes(start),
                _ => self.trimmed(key.place.end),
            };
            let colon = self.skip(end);
            let before = self.text.get(..start)?.trim_end_matches([' ', '\t']);
            let is_usual = matches!(key.place.kind, Kind::Scalar)
                && self.byte(colon) == Some(b':')
                && !before.ends_with('?');
            if !is_usual {
                return None;
            }
            let mut place = value.place;
            self.settle(&mut place, colon + 1);
            entries.push(Child {
                start,
                from: colon + 1,
                place,
            });
        }
        Some(entries)
    }

    /// Without the lines that a reader drops.
    fn end_of_block(&self, content: usize, end: usize) -> usize {
        let text = self.text.get(content..end).unwrap_or_default();
        let header = text.lines().next().unwrap_or_default();
        let header = header.split('#').next().unwrap_or_default();
        let kept = match (header.contains('+'), text.rfind('\n')) {
            // The indentation of what follows is no part of it.
            (true, Some(last)) if end < self.text.len() => &text[..last],
            (true, _) => text.strip_suffix('\n').unwrap_or(text),
            (false, _) => text.trim_end_matches(['\n', '\r', ' ', '\t']),
        };
        content + kept.strip_suffix('\r').unwrap_or(kept).len()
    }

    /// Behind the bracket that follows the last child.
    fn closed(&self, children: &[Child], open: usize) -> usize {
        let mut end = self.skip(last_end(children, open + 1));
        if self.byte(end) == Some(b',') {
            end = self.skip(end + 1);
        }
        end + 1
    }

    fn end_of_quotes(&self, start: usize) -> usize {
        let quote = self.byte(start);
        let mut end = start + 1;
        while let Some(byte) = self.byte(end) {
            match byte {
                b'\\' if quote == Some(b'"') => end += 2,
                b'\'' if quote == Some(byte) && self.byte(end + 1) == Some(byte) => end += 2,
                _ if quote == Some(byte) => break,
                _ => end += 1,
            }
        }
        end + 1
    }

    fn trimmed(&self, end: usize) -> usize {
        let blanks = [' ', '\t', '\n', '\r'];
        let text = self.text.get(..end);
        text.map_or(end, |it| it.trim_end_matches(blanks).len())
    }

    /// Past blanks, line ends and comments.
    fn skip(&self, mut from: usize) -> usize {
        while let Some(byte) = self.byte(from) {
            let comment = byte == b'#' && self.is_free(from);
            match byte {
                _ if comment => {
                    let rest = self.text.get(from..).unwrap_or_default();
                    from += rest.find('\n').unwrap_or(rest.len());
                }
                b' ' | b'\t' | b'\n' | b'\r' => from += 1,
                _ => break,
            }
        }
        from
    }

    /// Past anchor and tag.
    fn skip_properties(&self, mut from: usize) -> usize {
        while let Some(b'&' | b'!') = self.byte(from) {
            let rest = self.text.get(from..).unwrap_or_default();
            from = self.skip(from + rest.find(char::is_whitespace).unwrap_or(rest.len()));
        }
        from
    }

    /// Whether nothing but a blank is right before.
    fn is_free(&self, place: usize) -> bool {
        place == 0 || matches!(self.byte(place - 1), Some(b' ' | b'\t' | b'\n' | b'\r'))
    }

    fn byte(&self, place: usize) -> Option<u8> {
        self.text.as_bytes().get(place).copied()
    }
}

fn last_end(children: &[Child], otherwise: usize) -> usize {
    children.last().map_or(otherwise, |it| it.place.end)
}
