//! Fills in templates, so that no value breaks out of where it stands.

use std::borrow::Cow;

use btp_policy::scalar::{HeaderChoice, Operator, Part, Template};
use btp_policy::spec::Escape;

use super::Overrides;
use super::request_snapshot::RequestSnapshot;
use crate::host::headers::HeaderView;
use crate::request::joined;

/// What a text is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A body of this kind.
    Body(Escape),
    /// The value of a header.
    Header,
    /// A part of a URL.
    Url,
}

/// All that is known when a response is replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct RenderContext<'a> {
    pub(super) overrides: &'a Overrides,
    pub(super) snapshot: &'a RequestSnapshot,
    /// The original status.
    pub(super) status: u16,
    /// The original headers.
    pub(super) headers: &'a dyn HeaderView,
    /// The operators that were asked of the host, and their values.
    pub(super) asked: &'a [(&'a Operator, Option<Vec<u8>>)],
}

/// What is printed for a value that is not there, as Envoy does.
const MISSING: &[u8] = b"-";

impl<'a> RenderContext<'a> {
    /// Appends what `template` prints.
    pub(super) fn render(&self, template: &Template, target: Target, out: &mut Vec<u8>) {
        for part in template.parts() {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Operator { operator, length } => {
                    let value = self
                        .value(operator, *length)
                        .unwrap_or(Cow::Borrowed(MISSING));
                    let most = length.unwrap_or(usize::MAX).min(value.len());
                    target.write(value.get(..most).unwrap_or_default(), out);
                }
            }
        }
    }

    /// What `template` prints.
    pub(super) fn rendered(&self, template: &Template, target: Target) -> Vec<u8> {
        let mut text = Vec::new();
        self.render(template, target, &mut text);
        text
    }

    /// The value of a header of the original response; several are joined by
    /// commas.
    pub(super) fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        joined(self.headers, name)
    }

    fn value(&self, operator: &Operator, length: Option<usize>) -> Option<Cow<'a, [u8]>> {
        match operator {
            Operator::Response(HeaderChoice { name, or }) => {
                self.header(name).or_else(|| self.header(or.as_deref()?))
            }
            Operator::ResponseCode => Some(Cow::Owned(self.status.to_string().into_bytes())),
            Operator::GrpcStatusNumber => self.header("grpc-status"),
            _ if operator.is_of_request() => {
                let captured_value = self
                    .overrides
                    .captured_value(operator, length, self.snapshot);
                captured_value.value()
            }
            _ => {
                let (_, value) = self.asked.iter().find(|(other, _)| *other == operator)?;
                value.as_deref().map(Cow::Borrowed)
            }
        }
    }
}

impl Target {
    fn write(self, value: &[u8], out: &mut Vec<u8>) {
        match self {
            // Bytes beyond ASCII are fine, line breaks would end the header.
            Self::Header => out.extend(value.iter().map(|byte| match byte {
                b'\t' => *byte,
                0..=0x1f | 0x7f => b' ',
                _ => *byte,
            })),
            Self::Url => value.iter().for_each(|byte| write_url(*byte, out)),
            Self::Body(escape) => {
                for character in String::from_utf8_lossy(value).chars() {
                    write_body(character, escape, out);
                }
            }
        }
    }
}

/// Only what means nothing in a URL stays as it is (RFC 3986, 2.3).
fn write_url(byte: u8, out: &mut Vec<u8>) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(byte);
    } else {
        out.push(b'%');
        push_hex(byte, out);
    }
}

fn write_body(character: char, escape: Escape, out: &mut Vec<u8>) {
    let escaped: &[u8] = match (escape, character) {
        (Escape::Html, '&') => b"&amp;",
        (Escape::Html, '<') => b"&lt;",
        (Escape::Html, '>') => b"&gt;",
        (Escape::Html, '"') => b"&#34;",
        (Escape::Html, '\'') => b"&#39;",
        (Escape::Json, '"') => b"\\\"",
        (Escape::Json, '\\') => b"\\\\",
        // Not to be taken for a tag should the text end up in a page.
        (Escape::Json, '<') => b"\\u003c",
        (Escape::Json, '\0'..='\x1f' | '\x7f') => {
            out.extend_from_slice(b"\\u00");
            push_hex(u8::try_from(character).unwrap_or_default(), out);
            return;
        }
        (Escape::Json, '\u{2028}') => b"\\u2028",
        (Escape::Json, '\u{2029}') => b"\\u2029",
        (Escape::Html, '\0') => "\u{fffd}".as_bytes(),
        _ => {
            let mut buffer = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            return;
        }
    };
    out.extend_from_slice(escaped);
}

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    for digit in [byte >> 4, byte & 15] {
        let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
        out.extend_from_slice(
            digit
                .to_ascii_uppercase()
                .encode_utf8(&mut [0; 4])
                .as_bytes(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn written(target: Target, value: &[u8]) -> String {
        let mut out = Vec::new();
        target.write(value, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn nothing_breaks_out() {
        let evil = b"<a href='x'>\"\\&\r\n\x7f\xff";
        assert_eq!(
            written(Target::Body(Escape::Html), evil),
            "&lt;a href=&#39;x&#39;&gt;&#34;\\&amp;\r\n\x7f\u{fffd}"
        );
        assert_eq!(
            written(Target::Body(Escape::Json), evil),
            "\\u003ca href='x'>\\\"\\\\&\\u000D\\u000A\\u007F\u{fffd}"
        );
        assert_eq!(
            written(Target::Header, b"a\r\nset-cookie: x\0\x7f\tb"),
            "a  set-cookie: x  \tb"
        );
        assert_eq!(
            written(Target::Url, b"/a?b=c&d#e:%\xff~"),
            "%2Fa%3Fb%3Dc%26d%23e%3A%25%FF~"
        );
        assert_eq!(written(Target::Body(Escape::None), b"<\"\xc3\xa4"), "<\"ä");
    }

    proptest! {
        #[test]
        fn a_json_value_reads_back(value in ".{0,40}") {
            let text = format!("\"{}\"", written(Target::Body(Escape::Json), value.as_bytes()));
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value);
        }

        #[test]
        fn an_html_value_has_no_markup(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let text = written(Target::Body(Escape::Html), &value);
            prop_assert!(!text.contains(['<', '>', '"', '\'']), "{}", text);
        }
    }
}
