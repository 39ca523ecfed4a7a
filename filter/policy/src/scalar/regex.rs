//! Regular expressions that match a whole value, as Envoy's RE2 does.
//!
//! Linear in the value's length whatever the pattern. Unlike in RE2 there
//! are no Unicode classes, and `(?i)` folds the case of ASCII letters only.

use std::fmt;
use std::sync::Arc;

use regex_lite::RegexBuilder;

/// A compiled regex; copies share one program.
#[derive(Clone)]
pub struct Regex {
    pattern: Arc<str>,
    program: Arc<regex_lite::Regex>,
}

/// The most memory that one compiled pattern may take.
const LARGEST_PROGRAM: usize = 1 << 20;

impl Regex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        // On its own first, so that `a)(b` cannot break out of the group.
        compile(pattern)?;
        let program = compile(&format!(r"\A(?:{pattern})\z"))?;
        Ok(Self {
            pattern: pattern.into(),
            program: Arc::new(program),
        })
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole of `value` matches. A byte that is not UTF-8 counts
    /// as U+FFFD, as it does for RE2.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.program.is_match(&String::from_utf8_lossy(value))
    }
}

fn compile(pattern: &str) -> Result<regex_lite::Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(LARGEST_PROGRAM)
        .build()
        .map_err(|error| error.to_string())
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}/", self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::Regex;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_whole_value_must_match() {
        let regex = Regex::new("a|b+").unwrap();
        assert!(regex.is_match(b"a") && regex.is_match(b"bbb"));
        assert!(!regex.is_match(b"ab") && !regex.is_match(b"xa") && !regex.is_match(b"a\n"));
        assert!(Regex::new(r"\d{3}.*").unwrap().is_match(b"123\xff\xfe"));
        assert!(Regex::new("").unwrap().is_match(b""));
        assert!(Regex::new("(?i)Xä.").unwrap().is_match("xäö".as_bytes()));
    }

    #[test]
    fn bad_patterns_say_why_in_one_line() {
        for (pattern, reason) in [
            ("(", "open group without closing"),
            ("a)(b", "closing ')' without"),
            (r"\pL", "Unicode"),
            ("(?=a)", "look-around"),
            (r"(\w{1000}){1000}", "size limit"),
        ] {
            let error = Regex::new(pattern).expect_err(pattern);
            assert!(error.contains(reason) && !error.contains('\n'), "{error}");
        }
    }
}
