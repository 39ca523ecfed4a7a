//! Texts with Envoy's command operators: `status %RESPONSE_CODE%`.
//!
//! A literal percent sign is written `%%`.

use std::fmt;
use std::sync::Arc;

use super::operator::Operator;

/// A text with blanks to fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it is; copies share it.
    Text(Arc<str>),
    /// A command operator: `%NAME(ARGUMENT):LENGTH%`.
    Operator {
        /// What is printed.
        operator: Operator,
        /// The most bytes of its value that are printed.
        length: Option<usize>,
    },
}

impl Template {
    /// A template that prints `text` whatever the circumstances.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let parts = if text.is_empty() {
            Vec::new()
        } else {
            vec![Part::Text(text.into())]
        };
        Self { parts }
    }

    /// The template that `source` stands for.
    ///
    /// # Errors
    /// What is wrong with it: a percent sign that begins no operator, or an
    /// operator that is not known.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                text.push('%');
                rest = after;
                continue;
            }
            let (written, after) = Written::read(after).ok_or_else(|| {
                let spot: String = after.chars().take(20).collect();
                format!(
                    "has no command operator at {:?}; write %% for a percent sign",
                    format!("%{spot}")
                )
            })?;
            let length = written.length;
            let operator = Operator::new(written.name, written.argument, length.is_some())?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text).into()));
            }
            parts.push(Part::Operator { operator, length });
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(Self { parts })
    }

    /// Its pieces.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether it prints nothing, whatever the circumstances.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text that it prints, unless that depends on anything or is empty.
    #[must_use]
    pub fn shared_text(&self) -> Option<Arc<str>> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }

    /// What it prints if that depends on nothing.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// An operator as it is written: `NAME(ARGUMENT):LENGTH%`.
struct Written<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    length: Option<usize>,
}

impl<'a> Written<'a> {
    /// Reads one, and gives what follows it.
    fn read(source: &'a str) -> Option<(Self, &'a str)> {
        let is_name =
            |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        let length = source.bytes().take_while(|byte| is_name(byte)).count();
        let (name, mut rest) = source.split_at_checked(length).filter(|_| length > 0)?;
        let mut argument = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let (inside, after) = inner.split_once(')')?;
            argument = Some(inside);
            rest = after;
        }
        let mut longest = None;
        if let Some(inner) = rest.strip_prefix(':') {
            let (digits, _) = inner.split_once('%')?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            longest = Some(digits.parse().ok().filter(|_| plain)?);
            rest = inner.strip_prefix(digits)?;
        }
        let written = Self {
            name,
            argument,
            length: longest,
        };
        Some((written, rest.strip_prefix('%')?))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => formatter.write_str(&text.replace('%', "%%"))?,
                Part::Operator { operator, length } => {
                    write!(formatter, "%{operator}")?;
                    if let Some(length) = length {
                        write!(formatter, ":{length}")?;
                    }
                    formatter.write_str("%")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::HeaderChoice;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn operators_and_text_are_told_apart() {
        let template = Template::parse("100%% of %REQ(X-a?x-b):10%%RESPONSE_CODE%!").unwrap();
        let header = HeaderChoice {
            name: "x-a".into(),
            or: Some("x-b".into()),
        };
        let operator = |operator, length| Part::Operator { operator, length };
        assert_eq!(
            template.parts(),
            [
                Part::Text("100% of ".into()),
                operator(Operator::Request(header), Some(10)),
                operator(Operator::ResponseCode, None),
                Part::Text("!".into()),
            ]
        );
        assert_eq!(template.as_text(), None);
        assert_eq!(Template::parse("5 %%").unwrap().as_text(), Some("5 %"));
        assert_eq!(Template::parse("").unwrap().as_text(), Some(""));
    }

    #[test]
    fn a_lone_percent_sign_and_unknown_operators_are_refused() {
        for source in [
            "%NO%", "%", "5 %", "% of", "%REQ(x%", "%req(x)%", "%REQ:x%", "%()%",
        ] {
            assert!(Template::parse(source).is_err(), "{source}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(
            source in "(%(REQ|RESP|PATH|QUERY_PARAM|DURATION|START_TIME)(\\([a-zN%QYH?:]{0,6}\\))?(:[0-9]{1,2})?%|[a%():]){0,6}",
        ) {
            if let Ok(template) = Template::parse(&source) {
                prop_assert_eq!(Template::parse(&template.to_string()), Ok(template));
            }
        }
    }
}
