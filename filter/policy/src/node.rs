//! The document tree that all readers work on, whatever the syntax was.
//!
//! Unlike `serde_json::Value` it keeps duplicate keys (to refuse them) and the place of
//! each value (to show it).

use crate::echo::Echo;

/// A value and its place in the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value begins; [`Mark::UNKNOWN`] for JSON.
    pub mark: Mark,
    /// The value.
    pub value: Value,
}

/// The place of a value in a text file. Lines and columns count from 1.
///
/// The end is kept only for messages to people: the filter has no use for it, and a
/// worker's memory for each value of a configuration is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Line, or 0 where it is not known.
    pub line: u32,
    /// Column in characters, or 0 where it is not known.
    pub column: u32,
    #[cfg(feature = "yaml")]
    end: (u32, u32),
}

/// What JSON and YAML can both say.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, which every reader treats as missing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number. An integral float within ±2⁵³ is read as one, because
    /// Envoy's `Struct` knows floats only.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// An object in document order, duplicate keys included.
    Map(Vec<Entry>),
}

/// One key of an object with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub mark: Mark,
    /// The value.
    pub node: Node,
}

impl Mark {
    /// The place is not known.
    pub const UNKNOWN: Self = Self::new(0, 0);

    /// A place whose end is not known.
    #[must_use]
    pub const fn new(line: u32, column: u32) -> Self {
        Self {
            line,
            column,
            #[cfg(feature = "yaml")]
            end: (0, 0),
        }
    }

    /// The same up to this line and column, which are the first behind it.
    #[cfg(feature = "yaml")]
    #[must_use]
    pub const fn until(self, line: u32, column: u32) -> Self {
        Self {
            end: (line, column),
            ..self
        }
    }

    /// Line and column of what is right behind it, if they are known.
    #[cfg(feature = "yaml")]
    #[must_use]
    pub fn end(self) -> Option<(u32, u32)> {
        (self.end.0 > 0).then_some(self.end)
    }

    /// Whether the place is known.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.line > 0
    }
}

impl Node {
    /// The field `name` of an object, unless it is absent or null.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == name)?;
        (entry.node.value != Value::Null).then_some(&entry.node)
    }

    /// The text, if the value is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A value of which no place is known.
    #[must_use]
    pub fn unplaced(value: Value) -> Self {
        Self {
            mark: Mark::UNKNOWN,
            value,
        }
    }
}

impl Value {
    /// An object of fields whose places are not known.
    #[must_use]
    pub fn map(fields: impl IntoIterator<Item = (&'static str, Node)>) -> Self {
        let entry = |(key, node): (&str, Node)| Entry {
            key: key.to_owned(),
            mark: Mark::UNKNOWN,
            node,
        };
        Self::Map(fields.into_iter().map(entry).collect())
    }

    /// A number, normalised: integral floats within ±2⁵³ become integers.
    #[must_use]
    pub fn number(float: f64) -> Self {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if float.fract() == 0.0 && float.abs() <= EXACT {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked above: |x| <= 2^53"
            )]
            let whole = float as i64;
            Self::Int(whole)
        } else {
            Self::Float(float)
        }
    }

    /// The kind of value, for messages: "a string", "an object", ….
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }

    /// A short rendering for messages; long values are cut.
    #[must_use]
    pub fn excerpt(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => decimal(*value),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(entries) => format!("an object of {}", entries.len()),
            Self::String(text) => {
                let mut cut: String = text.chars().take(Echo::LONGEST).collect();
                if cut.len() < text.len() {
                    cut.push('…');
                }
                format!("{cut:?}")
            }
        }
    }
}
/// A number with up to six decimals, which is as exact as any bound. The
/// standard library's way would add 12 KB to the filter.
fn decimal(value: f64) -> String {
    const MILLION: f64 = 1_000_000.0;
    let parts = (value.abs() * MILLION).round();
    let sign = if value < 0.0 { "-" } else { "" };
    if !(1.0..1e18).contains(&parts) {
        let size = if parts < 1.0 { "tiny" } else { "huge" };
        return format!("a {size} number");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 1e18"
    )]
    let parts = parts as u64;
    let text = format!("{sign}{}.{:06}", parts / 1_000_000, parts % 1_000_000);
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::decimal;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        for (value, shown) in [
            (0.5, "0.5"),
            (-33.333_3, "-33.3333"),
            (100.1, "100.1"),
            (1e15 + 0.5, "a huge number"),
            (123_456_789.25, "123456789.25"),
            (1e300, "a huge number"),
            (-1e-9, "a tiny number"),
            (f64::NAN, "a huge number"),
        ] {
            assert_eq!(decimal(value), shown);
        }
    }
}
