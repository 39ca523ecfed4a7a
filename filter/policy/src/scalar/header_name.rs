//! Header names: which a policy may look at, and which it may write.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

/// A header name, lower-cased: an HTTP token (RFC 9110 §5.6.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderName(String);

/// What the proxy itself writes: a policy that set them would break framing.
const FRAMING: [&str; 5] = [
    "connection",
    "content-length",
    "te",
    "transfer-encoding",
    "upgrade",
];

impl HeaderName {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name, or `None` if it is no token of 1 to 256 bytes.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let valid = (1..=256).contains(&name.len()) && name.bytes().all(token);
        valid.then(|| Self(name.to_ascii_lowercase()))
    }

    /// Reads the name of a header that a policy looks at.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let name = Self::new(at.string(problems)?);
        if name.is_none() {
            at.refuse(
                problems,
                Code::MalformedHeaderName,
                "must be a header name: 1 to 256 token characters",
            );
        }
        name
    }
}

/// Reads the name of a header that a policy writes.
pub fn read_header_name(at: Cursor<'_>, problems: &mut Problems) -> Option<HeaderName> {
    let name = HeaderName::read(at, problems)?;
    if FRAMING.contains(&name.as_str()) {
        at.refuse(
            problems,
            Code::ReservedHeader,
            "is written by Envoy itself: leave it out",
        );
        return None;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::HeaderName;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_tokens_in_lower_case() {
        assert_eq!(HeaderName::new("X-Foo").unwrap().as_str(), "x-foo");
        for name in ["", ":status", "a b", "a:", "ä", "a\r\n"] {
            assert_eq!(HeaderName::new(name), None, "{name:?}");
        }
    }
}
