//! JSON for people: a value that fits into one line is on one line.

use btp_policy::node::{Node, Value};

const WIDEST: usize = 100;

/// The text of a tree, with a newline at its end.
pub(crate) fn write(node: &Node) -> String {
    let mut out = String::new();
    value(node, 0, 0, &mut out);
    out.push('\n');
    out
}

/// The text of a tree with a line for each value, and a newline at its end.
pub(crate) fn indented(node: &Node) -> String {
    let text = serde_json::to_string_pretty(node);
    text.expect("keys are texts, and memory takes everything") + "\n"
}

/// `before`: the text already in the line.
fn value(node: &Node, indent: usize, before: usize, out: &mut String) {
    let text = serde_json::to_string(node).unwrap_or_default();
    let is_short = indent + before + text.len() <= WIDEST;
    match &node.value {
        Value::Map(entries) if !entries.is_empty() && !is_short => {
            let last = entries.len() - 1;
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                new_line(indent + 2, out);
                let key = serde_json::to_string(&entry.key).unwrap_or_default() + ": ";
                out.push_str(&key);
                value(&entry.node, indent + 2, key.len(), out);
                if index < last {
                    out.push(',');
                }
            }
            new_line(indent, out);
            out.push('}');
        }
        Value::List(items) if !items.is_empty() && !is_short => {
            let last = items.len() - 1;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                new_line(indent + 2, out);
                value(item, indent + 2, 0, out);
                if index < last {
                    out.push(',');
                }
            }
            new_line(indent, out);
            out.push(']');
        }
        _ => out.push_str(&text),
    }
}

fn new_line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use btp_policy::json;

    #[test]
    fn it_is_the_same_json_in_lines_of_bearable_length() {
        let text = format!(r#"{{"a":[{{"b":"{}"}},1],"c":{{"d":[]}}}}"#, "x".repeat(90));
        let node = json::parse(text.as_bytes()).unwrap();
        let out = super::write(&node);
        assert_eq!(json::parse(out.as_bytes()).unwrap(), node);
        assert!(
            out.ends_with("    1\n  ],\n  \"c\": {\"d\":[]}\n}\n"),
            "{out}"
        );
    }
}
