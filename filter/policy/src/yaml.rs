//! YAML text into [`Node`] trees, one per document, with the place of every
//! value.
//!
//! Scalars follow the core schema of YAML 1.2, so `yes` and `on` are strings.
//! Anchors and aliases work; what they expand to is bounded, so that a short
//! file cannot fill the memory.

mod quoted;

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use crate::code::Code;
use crate::node::{Entry, Mark, Node, Value};
use crate::problem::Problem;
use quoted::Cursor;

/// Levels of lists and objects within each other; as in JSON.
const DEEPEST: usize = 128;
/// Values in one file, aliases expanded.
const MOST_NODES: usize = 1_000_000;

/// Reads every document of a YAML text. Empty documents are left out.
///
/// # Errors
/// The text is not YAML, nests too deep, or says something that JSON cannot,
/// such as a key that is a list. The problem's mark says where.
pub fn parse(text: &str) -> Result<Vec<Node>, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        cursor: Cursor::new(text),
        documents: Vec::new(),
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            problem(
                mark(error.marker()),
                Code::NotYaml,
                format!("is not valid YAML: {error}"),
            )
        })?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

/// Documents under construction.
struct Builder<'a> {
    cursor: Cursor<'a>,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
}

/// A list or object that is not complete yet.
struct Open {
    mark: Mark,
    anchor: usize,
    /// Number of nodes when it began.
    before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Mark)>),
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let mark = mark_of(&span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_quoted =
                    matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
                let mark = match is_quoted {
                    true => self.cursor.quoted(&span.start, mark),
                    false => mark,
                };
                let value = scalar(&text, style, tag, mark)?;
                self.count(1, mark)?;
                self.close(Node { mark, value }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                core_tag(tag.as_deref(), mark)?;
                self.open(Content::List(Vec::new()), anchor, mark)
            }
            Event::MappingStart(anchor, tag) => {
                core_tag(tag.as_deref(), mark)?;
                self.open(Content::Map(Vec::new(), None), anchor, mark)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(mark),
            Event::Alias(anchor) => self.alias(anchor, mark),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, content: Content, anchor: usize, mark: Mark) -> Result<(), Problem> {
        if self.open.len() >= DEEPEST {
            return Err(problem(
                mark,
                Code::NestsTooDeep,
                format!("nests deeper than {DEEPEST} levels"),
            ));
        }
        let before = self.nodes;
        self.count(1, mark)?;
        self.open.push(Open {
            mark,
            anchor,
            before,
            content,
        });
        Ok(())
    }

    fn end(&mut self, end: Mark) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map(entries, _) => Value::Map(entries),
        };
        let size = self.nodes - open.before;
        let mark = whole(open.mark, &value, end);
        self.close(Node { mark, value }, open.anchor, size)
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<(), Problem> {
        let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
            return Err(problem(
                mark,
                Code::OpenAnchor,
                "refers to an anchor that is not complete",
            ));
        };
        if self.open.len() + depth(&node) > DEEPEST {
            return Err(problem(
                mark,
                Code::NestsTooDeep,
                format!("nests deeper than {DEEPEST} levels"),
            ));
        }
        self.count(size, mark)?;
        self.close(node, 0, size)
    }

    /// Puts a complete node where it belongs.
    fn close(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.count(size, node.mark)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None if node.value == Value::Null => {}
            None => self.documents.push(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match key.take() {
                Some((key, mark)) => entries.push(Entry { key, mark, node }),
                None => *key = Some((key_text(&node)?, node.mark)),
            },
        }
        Ok(())
    }

    fn count(&mut self, more: usize, mark: Mark) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            let reason = format!("holds more than {MOST_NODES} values, aliases expanded");
            return Err(problem(mark, Code::TooManyValues, reason));
        }
        Ok(())
    }
}

/// The place of a list or an object that begins at `begin`, and whose last event is at
/// `end`: a bracket, or nothing but the begin of what comes next. Then it ends with its
/// last value.
fn whole(begin: Mark, value: &Value, end: Mark) -> Mark {
    let is_bracket = end.end() != Some((end.line, end.column));
    let last = match value {
        Value::List(items) => items.last().map(|it| it.mark),
        Value::Map(entries) => entries.last().map(|it| {
            // What is left out stands nowhere, and an alias stands elsewhere.
            if it.node.mark >= it.mark {
                it.node.mark
            } else {
                it.mark
            }
        }),
        _ => None,
    };
    match (is_bracket, last.and_then(Mark::end), end.end()) {
        (false, Some((line, column)), _) | (true, _, Some((line, column))) => {
            begin.until(line, column)
        }
        _ => begin,
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => {
            let deepest = entries.iter().map(|entry| depth(&entry.node)).max();
            1 + deepest.unwrap_or(0)
        }
        _ => 0,
    }
}

fn key_text(node: &Node) -> Result<String, Problem> {
    match &node.value {
        Value::String(text) => Ok(text.clone()),
        Value::Null | Value::List(_) | Value::Map(_) => {
            let reason = format!("must be a string: {} is not a key", node.value.kind());
            Err(problem(node.mark, Code::KeyIsNoString, reason))
        }
        value => Ok(value.excerpt()),
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<Cow<'_, Tag>>,
    mark: Mark,
) -> Result<Value, Problem> {
    core_tag(tag.as_deref(), mark)?;
    let is_string = tag.is_some_and(|tag| tag.suffix == "str");
    if is_string || style != ScalarStyle::Plain {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    })
}

/// The number that `text` is in the core schema, infinities excepted: they
/// have no JSON form.
fn number(text: &str) -> Option<Value> {
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).ok();
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| plain(digits)) {
        return radix(digits, 16).map(Value::Int);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| plain(digits)) {
        return radix(digits, 8).map(Value::Int);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let float_like = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    if !unsigned.bytes().all(float_like) || !unsigned.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Ok(whole) = text.parse() {
        return Some(Value::Int(whole));
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    Some(Value::number(float))
}

fn core_tag(tag: Option<&Tag>, mark: Mark) -> Result<(), Problem> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => {
            let reason = format!("has the unknown YAML tag {tag}");
            Err(problem(mark, Code::UnknownTag, reason))
        }
        _ => Ok(()),
    }
}

fn mark(marker: &Marker) -> Mark {
    let (line, column) = place(marker);
    Mark::new(line, column)
}

/// Where an event begins and ends.
fn mark_of(span: &Span) -> Mark {
    let (line, column) = place(&span.end);
    mark(&span.start).until(line, column)
}

/// Line and column, from 1.
fn place(marker: &Marker) -> (u32, u32) {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (
        narrow(marker.line()),
        narrow(marker.col()).saturating_add(1),
    )
}

fn problem(mark: Mark, code: Code, reason: impl Into<String>) -> Problem {
    Problem::new("", code, reason).at(mark)
}

#[cfg(test)]
mod tests;
