//! How a YAML file was written: its comments, its quotes, its braces. What is
//! written anew keeps as much of that as still has a place.

use btp_policy::node::{Mark, Node, Value};

/// The text that a tree was read from.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    lines: Vec<String>,
    /// Whether each line holds a comment or nothing.
    free: Vec<bool>,
    /// Whether characters are bytes in each line.
    ascii: Vec<bool>,
    /// Where the comment at the end of each line begins.
    beside: Vec<Option<usize>>,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    None,
    Single,
    Double,
}

impl Layout {
    pub(crate) fn new(text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut free = Vec::with_capacity(lines.len());
        // Indentation of the line that a block scalar hangs on.
        let mut block: Option<usize> = None;
        for line in &lines {
            let indent = line.len() - line.trim_start().len();
            let is_blank = line.trim().is_empty();
            if let Some(above) = block {
                if is_blank || indent > above {
                    free.push(false);
                    continue;
                }
                block = None;
            }
            if opens_block(line) {
                block = Some(indent);
            }
            free.push(is_blank || line.trim_start().starts_with('#') || line.trim() == "---");
        }
        Self {
            ascii: lines.iter().map(|line| line.is_ascii()).collect(),
            beside: lines.iter().map(|line| comment_in(line)).collect(),
            lines,
            free,
        }
    }

    /// The line of a mark, counted from 0.
    pub(crate) fn line(mark: Mark) -> Option<usize> {
        usize::try_from(mark.line).ok()?.checked_sub(1)
    }

    /// The lines of comments and of nothing right above a line.
    pub(crate) fn above(&self, line: usize) -> std::ops::Range<usize> {
        let mut first = line.min(self.lines.len());
        while first > 0 && self.free[first - 1] {
            first -= 1;
        }
        first..line.min(self.lines.len())
    }

    /// The comments after all else.
    pub(crate) fn tail(&self) -> std::ops::Range<usize> {
        self.above(self.lines.len())
    }

    pub(crate) fn text(&self, line: usize) -> &str {
        self.lines[line].trim()
    }

    /// The comment at the end of a line.
    pub(crate) fn beside(&self, line: usize) -> Option<&str> {
        let start = (*self.beside.get(line)?)?;
        Some(self.lines.get(line)?.get(start..)?.trim_end())
    }

    /// How a scalar was quoted; `None` if it was not written here so.
    pub(crate) fn quotes(&self, node: &Node) -> Option<Quotes> {
        let rest = self.rest(node.mark)?;
        match (rest.chars().next()?, &node.value) {
            ('"', _) => Some(Quotes::Double),
            ('\'', _) => Some(Quotes::Single),
            ('|' | '>' | '*' | '&' | '!', _) => None,
            (_, Value::String(text)) => rest.starts_with(text.as_str()).then_some(Quotes::None),
            _ => Some(Quotes::None),
        }
    }

    /// Whether a list or object was written in brackets, and whether with
    /// spaces inside them.
    pub(crate) fn brackets(&self, node: &Node) -> Option<bool> {
        let mut rest = self.rest(node.mark)?.chars();
        matches!(rest.next()?, '{' | '[').then(|| rest.next() == Some(' '))
    }

    /// The plain scalar that stands at a mark, as it was written.
    pub(crate) fn plain(&self, mark: Mark) -> Option<&str> {
        let rest = self.rest(mark)?;
        if rest.starts_with(['"', '\'', '|', '>', '*', '&', '!', '{', '[']) {
            return None;
        }
        let end = rest.find([',', '}', ']', ' ']).unwrap_or(rest.len());
        Some(&rest[..end])
    }

    fn rest(&self, mark: Mark) -> Option<&str> {
        let number = Self::line(mark)?;
        let line = self.lines.get(number)?;
        let column = usize::try_from(mark.column).ok()?.checked_sub(1)?;
        let start = match self.ascii.get(number)? {
            true => column,
            false => line.char_indices().nth(column)?.0,
        };
        line.get(start..).filter(|rest| !rest.is_empty())
    }
}

/// Where a comment begins behind what a line says.
fn comment_in(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = ' ';
    for (place, character) in line.char_indices() {
        match quote {
            Some(open) if character == open && before != '\\' => quote = None,
            Some(_) => {}
            None if character == '#' && before.is_whitespace() => return Some(place),
            None if matches!(character, '"' | '\'') && " [{,:".contains(before) => {
                quote = Some(character);
            }
            None => {}
        }
        before = character;
    }
    None
}

/// Whether a block scalar (`|` or `>`) follows this line.
fn opens_block(line: &str) -> bool {
    let code = match line.find(" #") {
        Some(end) => &line[..end],
        None => line,
    };
    let code = code.trim_end();
    let header = code.trim_end_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    let Some(before) = header.strip_suffix(['|', '>']) else {
        return false;
    };
    before.ends_with(": ") || before.ends_with("- ")
}

/// Makes of a tree what Envoy's own YAML reader makes of its text: it takes
/// `yes` and `on` for true, a leading zero for octal, and any fraction or
/// large number for a text.
pub(crate) fn as_envoy_reads(node: &mut Node, layout: &Layout) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|it| as_envoy_reads(it, layout)),
        Value::Map(entries) => {
            for entry in entries {
                as_envoy_reads(&mut entry.node, layout);
            }
        }
        Value::String(text) => {
            if layout.plain(node.mark) == Some(text.as_str()) {
                match text.to_ascii_lowercase().as_str() {
                    "y" | "yes" | "on" => node.value = Value::Bool(true),
                    "n" | "no" | "off" => node.value = Value::Bool(false),
                    _ => {}
                }
            }
        }
        Value::Int(_) | Value::Float(_) => {
            let Some(text) = layout.plain(node.mark) else {
                return;
            };
            let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
            if is_digits && text.len() > 1 && text.starts_with('0') {
                if let Ok(octal) = i64::from_str_radix(text, 8) {
                    node.value = Value::Int(octal);
                }
            } else if is_digits && matches!(node.value, Value::Float(_))
                || text.contains('.')
                || (text.contains(['e', 'E']) && !text.starts_with("0x"))
            {
                node.value = Value::String(text.to_owned());
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}
