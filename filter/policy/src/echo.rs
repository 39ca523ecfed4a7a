//! Input in messages: cut to a sane length, and without characters that a terminal or a log
//! would interpret or hide.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// A name or a value that is repeated: the first [`Echo::LONGEST`] characters.
#[derive(Clone, Copy, Debug)]
pub struct Echo<'a>(pub &'a str);

impl Echo<'_> {
    /// The most characters of one value that are repeated.
    pub const LONGEST: usize = 80;
}

impl fmt::Display for Echo<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(Self::LONGEST) {
            write_visibly(character, formatter)?;
        }
        match characters.next() {
            Some(_) => formatter.write_char('…'),
            None => Ok(()),
        }
    }
}

/// A message as it may be shown: on one line, of at most 4096 characters.
#[must_use]
pub fn presentable(message: &str) -> Cow<'_, str> {
    const LONGEST: usize = 4096;
    let is_short = message.len() <= LONGEST;
    if is_short && !message.chars().any(is_hidden) {
        return Cow::Borrowed(message);
    }
    let mut shown = String::new();
    let mut characters = message.chars();
    for character in characters.by_ref().take(LONGEST) {
        // Writing into a string does not fail.
        write_visibly(character, &mut shown).ok();
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

fn write_visibly(character: char, out: &mut impl Write) -> fmt::Result {
    if is_hidden(character) {
        write!(out, "{}", character.escape_unicode())
    } else {
        out.write_char(character)
    }
}

/// Whether a character is not shown, or changes how others are: controls,
/// line ends, what turns the direction of text, and what has no width.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_would_not_be_seen_is_escaped_and_the_rest_is_left() {
        let shown = |text| Echo(text).to_string();
        assert_eq!(
            shown("a\0b\n\u{202e}c\u{200b}"),
            "a\\u{0}b\\u{a}\\u{202e}c\\u{200b}"
        );
        assert_eq!(shown("größe \"x\" \\ 日本"), "größe \"x\" \\ 日本");
        assert_eq!(shown(&"ä".repeat(81)), format!("{}…", "ä".repeat(80)));
        assert_eq!(presentable("a\u{2066}\r\n"), "a\\u{2066}\\u{d}\\u{a}");
        assert!(matches!(presentable("fine"), Cow::Borrowed(_)));
        assert_eq!(presentable(&"x".repeat(10_000_000)).chars().count(), 4097);
    }

    proptest! {
        #[test]
        fn nothing_hidden_and_nothing_long_is_shown(text in "\\PC{0,40}(\\p{C}|.){0,60}") {
            for shown in [Echo(&text).to_string(), presentable(&text).into_owned()] {
                prop_assert!(!shown.chars().any(is_hidden));
                prop_assert!(shown.len() <= 10 * text.len());
            }
        }
    }
}
