//! A tree as YAML text that Envoy's reader understands as it was meant.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use btp_policy::node::{Entry, Node, Value};

use super::layout::{Layout, Quotes};

/// The longest line that braces may fill.
const WIDEST: usize = 110;

/// Writes a tree in the layout of the text it was read from.
pub(crate) fn write(node: &Node, layout: &Layout) -> String {
    let mut writer = Writer {
        layout,
        out: String::new(),
        said: BTreeSet::new(),
    };
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => writer.entries(entries, 0, false),
        Value::List(items) if !items.is_empty() => writer.items(items, 0, false),
        _ => {
            let text = writer.inline(node).unwrap_or_default();
            writer.out.push_str(&text);
            writer.out.push('\n');
        }
    }
    writer.comments(layout.tail(), 0);
    writer.out
}

struct Writer<'a> {
    layout: &'a Layout,
    out: String,
    /// Lines whose comments have been written.
    said: BTreeSet<usize>,
}

impl Writer<'_> {
    /// `inside`: the first entry continues a line.
    fn entries(&mut self, entries: &[Entry], indent: usize, mut inside: bool) {
        for entry in entries {
            let line = Layout::line(entry.mark);
            if !inside {
                if let Some(line) = line {
                    self.comments(self.layout.above(line), indent);
                }
                self.indent(indent);
            }
            inside = false;
            let _ = write!(self.out, "{}:", key(&entry.key));
            let is_flush = match &entry.node.value {
                Value::List(items) => items.first().is_some_and(|first| {
                    entry.mark.is_known() && first.mark.column == entry.mark.column + 2
                }),
                _ => false,
            };
            self.value(&entry.node, indent, line, is_flush);
        }
    }

    fn items(&mut self, items: &[Node], indent: usize, mut inside: bool) {
        for item in items {
            let line = Layout::line(item.mark);
            if !inside {
                if let Some(line) = line {
                    self.comments(self.layout.above(line), indent);
                }
                self.indent(indent);
            }
            inside = false;
            self.out.push('-');
            match &item.value {
                Value::Map(entries) if !entries.is_empty() && self.inline(item).is_none() => {
                    self.out.push(' ');
                    self.entries(entries, indent + 2, true);
                }
                Value::List(below) if !below.is_empty() && self.inline(item).is_none() => {
                    self.out.push(' ');
                    self.items(below, indent + 2, true);
                }
                _ => self.value(item, indent, line, false),
            }
        }
    }

    /// What follows `key:` or `-`.
    fn value(&mut self, node: &Node, indent: usize, line: Option<usize>, is_flush: bool) {
        if let Some(text) = self.inline(node) {
            let _ = write!(self.out, " {text}");
            self.beside(line);
            self.out.push('\n');
            return;
        }
        match &node.value {
            Value::Map(entries) => {
                self.beside(line);
                self.out.push('\n');
                self.entries(entries, indent + 2, false);
            }
            Value::List(items) => {
                self.beside(line);
                self.out.push('\n');
                let deeper = if is_flush { 0 } else { 2 };
                self.items(items, indent + deeper, false);
            }
            Value::String(text) => self.block(text, indent + 2),
            _ => self.out.push('\n'),
        }
    }

    /// The node in the rest of a line, if it belongs there.
    fn inline(&self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
            Value::List(items) if items.is_empty() => Some("[]".to_owned()),
            Value::Map(_) | Value::List(_) => {
                let spaced = self.layout.brackets(node)?;
                let text = self.flow(node, spaced)?;
                (text.chars().count() <= WIDEST).then_some(text)
            }
            Value::String(text) => {
                let quotes = self.layout.quotes(node);
                if text.contains('\n') && quotes.is_none() && fits_block(text) {
                    return None;
                }
                Some(string(text, quotes, false))
            }
            _ => Some(number_or_word(&node.value)),
        }
    }

    /// The node in brackets.
    fn flow(&self, node: &Node, spaced: bool) -> Option<String> {
        let pad = if spaced { " " } else { "" };
        match &node.value {
            Value::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
            Value::List(items) if items.is_empty() => Some("[]".to_owned()),
            Value::Map(entries) => {
                let parts: Option<Vec<String>> = entries
                    .iter()
                    .map(|it| {
                        Some(format!(
                            "{}: {}",
                            key(&it.key),
                            self.flow(&it.node, spaced)?
                        ))
                    })
                    .collect();
                Some(format!("{{{pad}{}{pad}}}", parts?.join(", ")))
            }
            Value::List(items) => {
                let parts: Option<Vec<String>> =
                    items.iter().map(|it| self.flow(it, spaced)).collect();
                let pad = match self.layout.brackets(node) {
                    Some(true) => " ",
                    _ => "",
                };
                Some(format!("[{pad}{}{pad}]", parts?.join(", ")))
            }
            Value::String(text) if text.contains('\n') && text.len() > 40 => None,
            Value::String(text) => Some(string(text, self.layout.quotes(node), true)),
            value => Some(number_or_word(value)),
        }
    }

    /// A text of several lines.
    fn block(&mut self, text: &str, indent: usize) {
        let body = text.trim_end_matches('\n');
        let chomping = match text.len() - body.len() {
            0 => "-",
            1 => "",
            _ => "+",
        };
        let _ = writeln!(self.out, " |{chomping}");
        let lines = text.strip_suffix('\n').unwrap_or(text);
        for line in lines.split('\n') {
            if !line.is_empty() {
                self.indent(indent);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    fn comments(&mut self, lines: Range<usize>, indent: usize) {
        for line in lines {
            if !self.said.insert(line) {
                continue;
            }
            let text = self.layout.text(line);
            if !text.is_empty() {
                self.indent(indent);
                self.out.push_str(text);
            }
            self.out.push('\n');
        }
    }

    fn beside(&mut self, line: Option<usize>) {
        let Some(line) = line else { return };
        if let Some(text) = self.layout.beside(line)
            && self.said.insert(line)
        {
            let _ = write!(self.out, "  {text}");
        }
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }
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

fn string(text: &str, quotes: Option<Quotes>, in_flow: bool) -> String {
    let printable = |it: char| !it.is_control();
    match quotes {
        Some(Quotes::Single) if text.chars().all(printable) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        Some(Quotes::None) if is_safe_plain(text, in_flow) => text.to_owned(),
        None if is_plain(text, in_flow) => text.to_owned(),
        _ => double(text),
    }
}

/// JSON's way of quoting is YAML's.
fn double(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Whether a text that was written without quotes can be again.
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
    use crate::apply::layout::as_envoy_reads;
    use btp_policy::yaml;

    fn again(text: &str) -> String {
        let mut node = yaml::parse(text).unwrap().remove(0);
        let layout = Layout::new(text);
        as_envoy_reads(&mut node, &layout);
        write(&node, &layout)
    }

    #[test]
    fn a_usual_file_stays_as_it_is() {
        let text = "# head\n\nadmin:\n  address:\n    # where\n    socket_address: { address: 0.0.0.0, port_value: 9901 }  # here\n\
                    static_resources:\n  listeners:\n    - name: http  # the one\n      domains: [\"*\", 'x y']\n\
                    \n      # filters\n      filters:\n      - \"@type\": type.googleapis.com/a.B\n        nn: [a, b]\n      - x: {}\n  \
                    text: |\n    # no comment\n    two\n  float: 0.5\n  t: true\n  s: \"yes\"\n  d: 0.25s\n# end\n";
        assert_eq!(again(text), text);
    }

    #[test]
    fn words_and_numbers_are_what_envoy_takes_them_for() {
        assert_eq!(
            again("a: yes\nb: 010\nc: 18446744073709551615\nd: 'off'\ne: 1.0\n"),
            "a: true\nb: 8\nc: 18446744073709551615\nd: 'off'\ne: 1.0\n"
        );
    }

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
            let out = write(&node, &Layout::default());
            let back = yaml::parse(&out)
                .unwrap_or_else(|error| panic!("{out}: {error}"))
                .remove(0);
            assert!(crate::envoy::tree::same(&back, &node), "{text:?}: {out}");
        }
    }

    #[test]
    fn lists_of_lists_and_aliases_are_written_out() {
        assert_eq!(
            again("a: [[1, 2], [3]]\nb:\n  - - x\n    - z\n"),
            "a: [[1, 2], [3]]\nb:\n  - - x\n    - z\n"
        );
        assert_eq!(again("a: &x\n  b: 1\nc: *x\n"), "a:\n  b: 1\nc:\n  b: 1\n");
    }
}
