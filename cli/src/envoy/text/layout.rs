//! How Envoy's own YAML reader interprets a text: it gives some plain words and numbers
//! another type than YAML 1.2 does.

use btp_policy::node::{Mark, Node, Value};

/// Makes of a tree what Envoy makes of its text: it takes `yes` and `on` for
/// true, a leading zero for octal, and any fraction or large number for a
/// text.
pub(crate) fn as_envoy_reads(node: &mut Node, text: &str) {
    reads(node, &Lines::new(text));
}

/// The lines of a text.
struct Lines {
    lines: Vec<String>,
    /// Whether characters are bytes in each line.
    ascii: Vec<bool>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Self {
            ascii: lines.iter().map(|line| line.is_ascii()).collect(),
            lines,
        }
    }

    /// The plain scalar at a mark, as written.
    fn plain(&self, mark: Mark) -> Option<&str> {
        let rest = self.rest(mark)?;
        if rest.starts_with(['"', '\'', '|', '>', '*', '&', '!', '{', '[']) {
            return None;
        }
        let end = rest.find([',', '}', ']', ' ', '\t']).unwrap_or(rest.len());
        Some(&rest[..end])
    }

    fn rest(&self, mark: Mark) -> Option<&str> {
        let number = usize::try_from(mark.line).ok()?.checked_sub(1)?;
        let line = self.lines.get(number)?;
        let column = usize::try_from(mark.column).ok()?.checked_sub(1)?;
        let start = match self.ascii.get(number)? {
            true => column,
            false => line.char_indices().nth(column)?.0,
        };
        line.get(start..).filter(|rest| !rest.is_empty())
    }
}

fn reads(node: &mut Node, lines: &Lines) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|it| reads(it, lines)),
        Value::Map(entries) => {
            for entry in entries {
                reads(&mut entry.node, lines);
            }
        }
        Value::String(text) => {
            if lines.plain(node.mark) == Some(text.as_str()) {
                match text.to_ascii_lowercase().as_str() {
                    "y" | "yes" | "on" => node.value = Value::Bool(true),
                    "n" | "no" | "off" => node.value = Value::Bool(false),
                    _ => {}
                }
            }
        }
        Value::Int(_) | Value::Float(_) => {
            let Some(text) = lines.plain(node.mark) else {
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

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::yaml;

    #[test]
    fn words_and_numbers_are_what_envoy_takes_them_for() {
        let text = "a: yes\nb: 010\nc: 18446744073709551615\nd: 'off'\ne: 1.0\nf: no\t# not\n";
        let mut node = yaml::parse(text).unwrap().remove(0);
        as_envoy_reads(&mut node, text);
        assert_eq!(
            serde_json::to_string(&node).unwrap(),
            r#"{"a":true,"b":8,"c":"18446744073709551615","d":"off","e":"1.0","f":false}"#
        );
    }
}
