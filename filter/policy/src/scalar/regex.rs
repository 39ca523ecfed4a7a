//! Regular expressions that match a whole value, as Envoy's RE2 does.
//!
//! Linear in the value's length whatever the pattern. As in RE2, `.` is a
//! character and `\d`, `\w`, `\s` are ASCII; unlike there, there are no
//! Unicode classes and `(?i)` folds ASCII letters only. A value that is not
//! UTF-8 matches nothing.

use std::fmt;
use std::sync::Arc;

use regex_lite::RegexBuilder;

/// A compiled regex; copies share one program.
#[derive(Clone)]
pub struct Regex {
    pattern: String,
    program: Arc<regex_lite::Regex>,
}

/// The most memory that one compiled pattern may take, in bytes.
const LARGEST_PROGRAM: usize = 1 << 20;

impl Regex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        // On its own first, so that `a)(b` cannot break out of the group.
        compile(pattern)?;
        Ok(Self {
            pattern: pattern.to_owned(),
            program: Arc::new(compile(&format!(r"\A(?:{pattern})\z"))?),
        })
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole of `value` matches.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        std::str::from_utf8(value).is_ok_and(|value| self.program.is_match(value))
    }
}

fn compile(pattern: &str) -> Result<regex_lite::Regex, String> {
    let built = RegexBuilder::new(pattern)
        .size_limit(LARGEST_PROGRAM)
        .build();
    built.map_err(|error| one_line(&error.to_string()))
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

/// The last line of an error says what is wrong; those before draw it.
fn one_line(error: &str) -> String {
    let last = error.lines().last().unwrap_or(error);
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::Regex;

    #[test]
    fn the_whole_value_must_match() {
        let regex = Regex::new("a|b+").unwrap();
        assert!(regex.is_match(b"a") && regex.is_match(b"bbb"));
        assert!(!regex.is_match(b"ab") && !regex.is_match(b"xa") && !regex.is_match(b"a\n"));
        assert!(!Regex::new(r"\d{3}.*").unwrap().is_match(b"123\xff\xfe"));
        assert!(Regex::new("").unwrap().is_match(b""));
        assert!(Regex::new("(?i)ä").unwrap().is_match("ä".as_bytes()));
    }

    #[test]
    fn bad_patterns_say_why_in_one_line() {
        for (pattern, reason) in [
            ("(", "without closing"),
            ("a)(b", "without matching"),
            (r"\pL", "Unicode"),
            ("(?=a)", "look-around"),
            (r"(\w{1000}){1000}", "size limit"),
        ] {
            let error = Regex::new(pattern).expect_err(pattern);
            assert!(error.contains(reason) && !error.contains('\n'), "{error}");
        }
    }
}
