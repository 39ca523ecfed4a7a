//! Names and values of headers, made without taking memory where they are known
//! beforehand or numbers.

use std::fmt;
use std::ops::Deref;

/// A name in lower case, or a value.
#[derive(Clone)]
pub struct HeaderText(Text);

#[derive(Clone)]
enum Text {
    Known(&'static [u8]),
    Made(Vec<u8>),
    /// A number's digits, at the end of the array and so many.
    Digits([u8; MOST_DIGITS], u8),
}

/// The most digits of a `u64`.
const MOST_DIGITS: usize = 20;

impl HeaderText {
    /// The bytes, as a value of their own.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self.0 {
            Text::Made(bytes) => bytes,
            Text::Known(_) | Text::Digits(..) => self.to_vec(),
        }
    }
}

impl Deref for HeaderText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Text::Known(bytes) => bytes,
            Text::Made(bytes) => bytes,
            Text::Digits(digits, count) => {
                let start = MOST_DIGITS.saturating_sub(usize::from(*count));
                digits.get(start..).unwrap_or_default()
            }
        }
    }
}

impl From<&'static [u8]> for HeaderText {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Text::Known(bytes))
    }
}

impl From<&'static str> for HeaderText {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

impl From<Vec<u8>> for HeaderText {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Text::Made(bytes))
    }
}

impl From<String> for HeaderText {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<u64> for HeaderText {
    fn from(mut number: u64) -> Self {
        let (mut digits, mut count) = ([b'0'; MOST_DIGITS], 0);
        for digit in digits.iter_mut().rev() {
            if number == 0 && count > 0 {
                break;
            }
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            count += 1;
        }
        Self(Text::Digits(digits, count))
    }
}

impl PartialEq for HeaderText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for HeaderText {}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn texts_are_what_they_were_made_of() {
        for (text, bytes) in [
            (HeaderText::from("a"), "a"),
            ("b".to_owned().into(), "b"),
            (vec![b'c'].into(), "c"),
            (0.into(), "0"),
            (10.into(), "10"),
            (u64::MAX.into(), "18446744073709551615"),
        ] {
            assert_eq!(&*text, bytes.as_bytes());
            assert_eq!(text.into_bytes(), bytes.as_bytes());
        }
    }
}
