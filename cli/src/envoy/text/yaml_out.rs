//! A tree as text that Envoy's reader understands as it was meant: YAML in
//! lines, or in brackets as YAML and JSON have them.

use btp_policy::node::{Entry, Node, Value};

/// The longest line that brackets may fill.
const WIDEST: usize = 110;
/// How much deeper each level is.
pub(crate) const DEEPER: usize = 2;

/// How the content of brackets is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brackets {
    /// As JSON: every key and text in quotes.
    pub(crate) is_json: bool,
    /// With blanks within `{}`.
    pub(crate) pads_maps: bool,
    /// With blanks within `[]`.
    pub(crate) pads_lists: bool,
    /// How deep the line is that holds them.
    pub(crate) indent: usize,
    /// How much deeper what is in them is.
    pub(crate) step: usize,
}

/// A whole document.
pub(crate) fn write(node: &Node) -> String {
    let text = match &node.value {
        Value::Map(entries) if !entries.is_empty() => lines_of(entries, 0),
        Value::List(items) if !items.is_empty() => items_of(items, 0),
        _ => one_line(node).unwrap_or_default(),
    };
    text + "\n"
}

/// An entry, its key at `column`. Like all that follows without indentation
/// of its first line and without a line's end.
pub(crate) fn entry(key: &str, node: &Node, column: usize) -> String {
    format!("{}:{}", self::key(key), after_colon(node, column))
}

/// An item, its dash at `column`.
pub(crate) fn item(node: &Node, column: usize) -> String {
    format!("-{}", after_dash(node, column))
}

/// What follows the colon of a key at `column`.
pub(crate) fn after_colon(node: &Node, column: usize) -> String {
    let deeper = column + DEEPER;
    let blanks = " ".repeat(deeper);
    match (&node.value, one_line(node)) {
        (_, Some(text)) => format!(" {text}"),
        (Value::Map(entries), _) => format!("\n{blanks}{}", lines_of(entries, deeper)),
        (Value::List(items), _) => format!("\n{blanks}{}", items_of(items, deeper)),
        (Value::String(text), _) => block(text, deeper),
        _ => String::new(),
    }
}

/// What follows a dash at `column`.
pub(crate) fn after_dash(node: &Node, column: usize) -> String {
    let deeper = column + DEEPER;
    match (&node.value, one_line(node)) {
        (Value::Map(entries), None) => format!(" {}", lines_of(entries, deeper)),
        (Value::List(items), None) => format!(" {}", items_of(items, deeper)),
        _ => after_colon(node, column),
    }
}

/// The node if it is written in the rest of a line.
pub(crate) fn one_line(node: &Node) -> Option<String> {
    match &node.value {
        Value::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
        Value::List(items) if items.is_empty() => Some("[]".to_owned()),
        Value::Map(_) | Value::List(_) => None,
        Value::String(text) if text.contains('\n') && fits_block(text) => None,
        Value::String(text) => Some(string(text, false)),
        value => Some(number_or_word(value)),
    }
}

/// The node in brackets: in one line if that is not too long.
pub(crate) fn in_brackets(node: &Node, style: Brackets) -> String {
    let line = flow(node, style, false);
    match line.chars().count() + style.indent > WIDEST {
        true => flow(node, style, true),
        false => line,
    }
}

/// A key with its value in brackets.
pub(crate) fn entry_in_brackets(key: &str, node: &Node, style: Brackets) -> String {
    let key = match style.is_json {
        true => double(key),
        false => self::key(key),
    };
    format!("{key}: {}", in_brackets(node, style))
}

fn lines_of(entries: &[Entry], column: usize) -> String {
    let lines = entries.iter().map(|it| entry(&it.key, &it.node, column));
    lines.collect::<Vec<_>>().join(&line_end(column))
}

fn items_of(items: &[Node], column: usize) -> String {
    let lines = items.iter().map(|it| item(it, column));
    lines.collect::<Vec<_>>().join(&line_end(column))
}

fn line_end(column: usize) -> String {
    format!("\n{}", " ".repeat(column))
}

/// `is_long`: each item in a line of its own.
fn flow(node: &Node, style: Brackets, is_long: bool) -> String {
    let below = Brackets {
        indent: style.indent + style.step,
        ..style
    };
    let within = |node: &Node| match is_long {
        true => in_brackets(node, below),
        false => flow(node, style, false),
    };
    let ((open, close), is_padded, parts) = match &node.value {
        Value::Map(entries) if entries.is_empty() => return "{}".to_owned(),
        Value::List(items) if items.is_empty() => return "[]".to_owned(),
        Value::Map(entries) => {
            let part = |it: &Entry| match style.is_json {
                true => format!("{}: {}", double(&it.key), within(&it.node)),
                false => format!("{}: {}", key(&it.key), within(&it.node)),
            };
            let parts = entries.iter().map(part).collect::<Vec<_>>();
            (("{", "}"), style.pads_maps, parts)
        }
        Value::List(items) => {
            let parts = items.iter().map(within).collect();
            (("[", "]"), style.pads_lists, parts)
        }
        Value::String(text) if style.is_json => return double(text),
        Value::String(text) => return string(text, true),
        value => return number_or_word(value),
    };
    if is_long {
        let (outer, inner) = (line_end(style.indent), line_end(below.indent));
        let parts = parts.join(&format!(",{inner}"));
        return format!("{open}{inner}{parts}{outer}{close}");
    }
    let pad = if is_padded { " " } else { "" };
    format!("{open}{pad}{}{pad}{close}", parts.join(", "))
}

/// A text of several lines, behind a colon or a dash.
fn block(text: &str, column: usize) -> String {
    let body = text.trim_end_matches('\n');
    let chomping = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    let mut out = format!(" |{chomping}");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(column));
            out.push_str(line);
        }
    }
    out
}

fn number_or_word(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        value => value.excerpt(),
    }
}

fn key(key: &str) -> String {
    if is_plain(key, true) {
        key.to_owned()
    } else {
        double(key)
    }
}

fn string(text: &str, in_flow: bool) -> String {
    match is_plain(text, in_flow) {
        true => text.to_owned(),
        false => double(text),
    }
}

/// JSON's way of quoting is YAML's.
fn double(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Whether a text ends where it is to end without quotes.
fn is_safe_plain(text: &str, in_flow: bool) -> bool {
    let ends = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    let closes = in_flow && text.contains([',', '[', ']', '{', '}']);
    let is_whole = !text.is_empty() && text.trim() == text && !text.contains('\n');
    is_whole && !ends && !closes
}

/// Whether a text means itself without quotes, to every reader.
fn is_plain(text: &str, in_flow: bool) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let starts_well = text
        .chars()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || "/_".contains(first));
    let is_usual = |it: char| it.is_ascii_alphanumeric() || " -_./:+@~^()=;".contains(it);
    let is_duration = text
        .strip_suffix(['s', 'm', 'h'])
        .is_some_and(|number| number.bytes().all(|it| it.is_ascii_digit() || it == b'.'))
        && text.starts_with(|it: char| it.is_ascii_digit());
    (starts_well || is_duration)
        && text.chars().all(is_usual)
        && is_safe_plain(text, in_flow)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a block scalar can hold a text as it is.
fn fits_block(text: &str) -> bool {
    let is_printable = |it: char| it == '\n' || it == '\t' || !it.is_control();
    let first = text.trim_start_matches('\n');
    !text.starts_with('\n')
        && !first.starts_with([' ', '\t'])
        && text.chars().all(is_printable)
        && !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::yaml;

    #[test]
    fn any_text_comes_back() {
        for text in [
            "",
            " ",
            "a: b",
            "- a",
            "#",
            "a #b",
            "yes",
            "1",
            "0.5",
            "null",
            "~",
            "a\nb",
            "a\nb\n",
            "a\n\n\nb\n\n",
            "\n",
            " a\nb",
            "é\u{7f}\u{1}",
            "'",
            "\"",
            "{",
            "[x]",
            "*",
            "&a",
            "!x",
            "%",
            "@x",
            "`",
            "a:",
            "1s",
            "::1",
            "a, b",
            "a\tb",
            "http://x/y?z=1#f",
            "0x10",
            ".5",
            "+1",
            "-1",
            "=",
            "<<",
            "a\r\nb",
        ] {
            let node = crate::envoy::json::object([
                ("k", crate::envoy::json::string(text)),
                (
                    "l",
                    crate::envoy::json::list(vec![crate::envoy::json::string(text)]),
                ),
            ]);
            let out = write(&node);
            let back = yaml::parse(&out)
                .unwrap_or_else(|error| panic!("{out}: {error}"))
                .remove(0);
            assert!(crate::envoy::tree::same(&back, &node), "{text:?}: {out}");
        }
    }
}
