//! Where in an HTML or JSON text a value may stand.
//!
//! Escaping alone does not keep a value inside: in a script, an unquoted
//! attribute or a JSON number's place, nothing that is printed is safe. Such
//! templates are refused at load.
//!
//! HTML is read as a browser's tokenizer reads it, as far as it matters here:
//!
//! ```text
//!            '<'            name ends             '='              quote
//!    Text ────────► TagName ─────────► Tag ─────────────► BeforeValue ────► Value
//!     ▲ ▲             │ │               │ ▲                │ │               │
//!     │ └─────────────┼─┼───────────────┤ └────────────────┼─┴───────────────┘
//!     │     '>'       │ └── '>' ────────┤ no quote: as Tag │   the same quote
//!     │               │ '!' or '?'      │                  │ '>'
//!     │               ▼                 ▼  '>' of a script or the like
//!     ├─ '-->' ─── Comment             Raw ◄───────────────┘
//!     └─ its end tag ───────────────────┘
//! ```
//!
//! Only in `Text` and, in most attributes, in `Value` does escaping keep a value
//! inside.

use crate::scalar::{Part, Template};

/// How the values that are printed in a text are escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Not at all.
    #[default]
    None,
    /// As text or quoted attribute of HTML and XML.
    Html,
    /// As part of a JSON string.
    Json,
    /// The content type is not known at load: no operators are possible.
    Unknown,
}

/// Where a text in HTML has got to: the diagram above.
#[derive(Clone, Debug, Default, PartialEq)]
enum HtmlState {
    #[default]
    Text,
    /// Behind `<`, before the name of the tag has ended.
    TagName(String),
    /// In a tag, outside of values; what was read of an attribute's name.
    Tag { element: String, attribute: String },
    /// Behind an attribute's equals sign.
    BeforeValue { element: String, attribute: String },
    /// In a value that ends with this quote.
    Value {
        element: String,
        attribute: String,
        quote: char,
        is_empty: bool,
    },
    /// In an element whose text is no HTML; the last characters of it.
    Raw { element: String, tail: String },
    /// In a comment or the like; the last characters of it.
    Comment(String),
}

/// Elements whose text is a program, a style sheet or a document.
const RAW: [&str; 8] = [
    "script",
    "style",
    "iframe",
    "noscript",
    "noembed",
    "noframes",
    "xmp",
    "plaintext",
];

/// Attributes that hold an address, whose scheme may be a program.
const ADDRESSES: [&str; 9] = [
    "href",
    "src",
    "action",
    "formaction",
    "data",
    "poster",
    "background",
    "xlink:href",
    "cite",
];

impl Escape {
    /// How values are escaped in texts of this type.
    pub(super) fn of(content_type: &str) -> Self {
        let media_type = media_type(content_type);
        let subtype = media_type.split('/').nth(1).unwrap_or_default();
        let is = |name: &str| {
            subtype == name
                || subtype
                    .strip_suffix(name)
                    .is_some_and(|it| it.ends_with('+'))
        };
        if is("html") || is("xml") {
            Self::Html
        } else if is("json") {
            Self::Json
        } else {
            Self::None
        }
    }

    /// Whether every value stands where escaping keeps it inside.
    pub(super) fn check(self, template: &Template) -> Result<(), String> {
        match self {
            Self::None => Ok(()),
            Self::Json => check_json(template),
            Self::Html => check_html(template),
            Self::Unknown if template.as_text().is_some() => Ok(()),
            Self::Unknown => Err(
                "has command operators, whose values cannot be escaped if the content type has \
                 operators, too: write the content type out, or set format: RawTemplate"
                    .to_owned(),
            ),
        }
    }
}

fn check_json(template: &Template) -> Result<(), String> {
    let (mut in_string, mut escaped) = (false, false);
    for part in template.parts() {
        match part {
            Part::Text(text) => {
                for character in text.chars() {
                    match character {
                        _ if escaped => escaped = false,
                        '\\' if in_string => escaped = true,
                        '"' => in_string = !in_string,
                        _ => {}
                    }
                }
            }
            Part::Operator { operator, .. } if operator.is_number() && !escaped => {}
            Part::Operator { operator, .. } if escaped || !in_string => {
                return Err(format!(
                    "must have %{operator}% within double quotes: its value can be escaped only \
                     there (format: RawTemplate escapes nothing)"
                ));
            }
            Part::Operator { .. } => {}
        }
    }
    Ok(())
}

fn check_html(template: &Template) -> Result<(), String> {
    let mut state = HtmlState::Text;
    for part in template.parts() {
        match part {
            Part::Text(text) => {
                for character in text.chars() {
                    state = state.after(character);
                }
            }
            Part::Operator { operator, .. } => {
                if let Some(wrong) = state.forbids_values() {
                    return Err(format!(
                        "must not have %{operator}% {wrong}: its value cannot be escaped there \
                         (format: RawTemplate escapes nothing)"
                    ));
                }
                if let HtmlState::Value { is_empty, .. } = &mut state {
                    *is_empty = false;
                }
            }
        }
    }
    Ok(())
}

impl HtmlState {
    /// Where the text has got to with one more character.
    fn after(self, character: char) -> Self {
        match self {
            Self::Text if character == '<' => Self::TagName(String::new()),
            Self::Text => Self::Text,
            Self::TagName(name) => Self::after_in_name(name, character),
            Self::Tag { element, attribute } => Self::after_in_tag(element, attribute, character),
            Self::BeforeValue { element, attribute } => match character {
                '"' | '\'' => Self::Value {
                    element,
                    attribute: attribute.trim().to_owned(),
                    quote: character,
                    is_empty: true,
                },
                _ if character.is_ascii_whitespace() => Self::BeforeValue { element, attribute },
                '>' => Self::inside(element),
                // An unquoted value: no value may stand there, as in a tag.
                _ => Self::tag(element),
            },
            Self::Value {
                element,
                attribute,
                quote,
                is_empty,
            } => {
                if character == quote {
                    Self::tag(element)
                } else {
                    let is_empty = is_empty && character.is_ascii_whitespace();
                    Self::Value {
                        element,
                        attribute,
                        quote,
                        is_empty,
                    }
                }
            }
            Self::Raw { element, tail } => Self::after_in_raw(element, tail, character),
            Self::Comment(text) => Self::after_in_comment(text, character),
        }
    }

    fn after_in_name(mut name: String, character: char) -> Self {
        match character {
            // A comment, a document type or a processing instruction.
            '!' | '?' if name.is_empty() => Self::Comment(String::new()),
            '>' => Self::inside(name),
            // "a < b" is text to a browser.
            _ if character.is_ascii_whitespace() && name.is_empty() => Self::Text,
            _ if character.is_ascii_whitespace() => Self::tag(name),
            // "<br/>"; at the beginning it is part of an end tag's name.
            '/' if !name.is_empty() => Self::tag(name),
            _ => {
                name.push(character.to_ascii_lowercase());
                Self::TagName(name)
            }
        }
    }

    fn after_in_tag(element: String, mut attribute: String, character: char) -> Self {
        match character {
            '>' => Self::inside(element),
            '=' => Self::BeforeValue { element, attribute },
            // What follows is a new attribute, or the equals sign of this one.
            _ if character.is_ascii_whitespace() || character == '/' => {
                attribute.push(' ');
                Self::Tag { element, attribute }
            }
            _ => {
                if attribute.ends_with(' ') {
                    attribute.clear();
                }
                attribute.push(character.to_ascii_lowercase());
                Self::Tag { element, attribute }
            }
        }
    }

    /// Only its own end tag ends such an element, whatever its text looks like.
    fn after_in_raw(element: String, mut tail: String, character: char) -> Self {
        let ends_name = character.is_ascii_whitespace() || matches!(character, '/' | '>');
        if ends_name && tail.ends_with(&format!("</{element}")) {
            return match character {
                '>' => Self::Text,
                _ => Self::tag(format!("/{element}")),
            };
        }
        tail.push(character.to_ascii_lowercase());
        Self::Raw { element, tail }
    }

    /// "<!-- -->" ends with "-->", what else begins with "<!" or "<?" with ">".
    /// While it cannot be told which of the two it is, nothing ends it.
    fn after_in_comment(mut text: String, character: char) -> Self {
        text.push(character);
        let ends = match text.strip_prefix("--") {
            Some(rest) => rest.ends_with("-->"),
            None => !text.starts_with('-') && character == '>',
        };
        if ends {
            Self::Text
        } else {
            Self::Comment(text)
        }
    }

    fn tag(element: String) -> Self {
        Self::Tag {
            element,
            attribute: String::new(),
        }
    }

    /// Behind the end of a tag.
    fn inside(element: String) -> Self {
        if RAW.contains(&element.as_str()) {
            let tail = String::new();
            Self::Raw { element, tail }
        } else {
            Self::Text
        }
    }

    /// Why no value is allowed here.
    fn forbids_values(&self) -> Option<&'static str> {
        match self {
            Self::Text => None,
            Self::Value {
                attribute,
                is_empty,
                ..
            } => {
                if attribute.starts_with("on") || attribute == "style" || attribute == "srcdoc" {
                    Some("in an attribute that holds a program, a style or a document")
                } else if *is_empty && ADDRESSES.contains(&attribute.as_str()) {
                    Some("at the beginning of an address")
                } else {
                    None
                }
            }
            Self::TagName(_) | Self::Tag { .. } | Self::BeforeValue { .. } => {
                Some("in a tag outside of quotes")
            }
            Self::Raw { .. } => Some("in a script, a style sheet or the like"),
            Self::Comment(_) => Some("in a comment"),
        }
    }
}

/// A content type without its parameters, in lower case.
pub(super) fn media_type(content_type: &str) -> String {
    let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    media_type.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn check(escape: Escape, text: &str) -> Result<(), String> {
        escape.check(&Template::parse(text).unwrap())
    }

    #[test]
    fn the_content_type_decides() {
        for (content_type, escape) in [
            ("text/html; charset=utf-8", Escape::Html),
            ("Application/XHTML+XML", Escape::Html),
            ("image/svg+xml", Escape::Html),
            ("application/problem+json", Escape::Json),
            ("application/json", Escape::Json),
            ("text/plain", Escape::None),
            ("application/xjson", Escape::None),
        ] {
            assert_eq!(Escape::of(content_type), escape, "{content_type}");
        }
    }

    #[test]
    fn json_values_stand_in_strings() {
        for fine in [
            r#"{"a": "%REQ(x)%", "b": %RESPONSE_CODE%, "c\"": "x%REQ(y)%"}"#,
            r#"{"a": "\\%REQ(x)%"}"#,
            "%DURATION%",
        ] {
            assert_eq!(check(Escape::Json, fine), Ok(()), "{fine}");
        }
        for wrong in [
            r#"{"a": %REQ(x)%}"#,
            r#"{"a": "\%REQ(x)%"}"#,
            r#"{"a": "\%RESPONSE_CODE%"}"#,
            r#"{"a\"": %REQ(x)%}"#,
        ] {
            let error = check(Escape::Json, wrong).expect_err(wrong);
            assert!(error.contains("within double quotes"), "{error}");
        }
    }

    #[test]
    fn html_values_stand_in_text_or_quotes() {
        for fine in [
            "<!DOCTYPE html><h1>%RESPONSE_CODE%</h1><p class='a'>%REQ(x)%</p>",
            r#"<a href="/find?q=%REQ(x)%" title = '%REQ(x)%'>%REQ(x)%</a>"#,
            "<script>var a = 1 < 2</script><p>%REQ(x)%",
            "<script></script\n>%REQ(x)%<STYLE></Style>%REQ(x)%",
            "<!-- a > b --><br/>%REQ(x)%",
            "1 < 2 %REQ(x)%",
        ] {
            assert_eq!(check(Escape::Html, fine), Ok(()), "{fine}");
        }
        for (wrong, reason) in [
            ("<script>'%REQ(x)%'</script>", "in a script"),
            ("<SCRIPT src='a'>'%REQ(x)%'", "in a script"),
            ("<style>%REQ(x)%", "in a script"),
            ("<script></scripts>%REQ(x)%", "in a script"),
            ("<script></script %REQ(x)%>", "in a tag"),
            ("<!-- > %REQ(x)% -->", "in a comment"),
            ("<%REQ(x)%>", "in a tag"),
            ("</%REQ(x)%>", "in a tag"),
            ("<p class=%REQ(x)%>", "in a tag"),
            ("<p class=a%REQ(x)%>", "in a tag"),
            ("<p %REQ(x)%>", "in a tag"),
            ("<p class='a' %REQ(x)%>", "in a tag"),
            ("<p onclick='f(%REQ(x)%)'>", "an attribute that"),
            ("<p a OnClick = '%REQ(x)%'>", "an attribute that"),
            ("<p style=\"%REQ(x)%\">", "an attribute that"),
            ("<a href='%REQ(x)%'>", "an address"),
            ("<a href=' %REQ(x)%'>", "an address"),
        ] {
            let error = check(Escape::Html, wrong).expect_err(wrong);
            assert!(error.contains(reason), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "[<>=!'\"/ a-c\\\\-]{0,12}(%REQ\\(x\\)%)?[<>='\" a-]{0,8}") {
            for escape in [Escape::Html, Escape::Json] {
                let refused = check(escape, &text).is_err();
                prop_assert!(!refused || text.contains("REQ"), "{}", text);
            }
        }
    }

    #[test]
    fn unknown_types_take_fixed_texts_only() {
        assert_eq!(check(Escape::Unknown, "<b>100%%"), Ok(()));
        assert!(check(Escape::Unknown, "%REQ(x)%").is_err());
    }
}
