//! Regular expressions that match a whole value, as Envoy's RE2 does.
//!
//! Linear in the value's length whatever the pattern. Unlike in RE2, `.`
//! and negated classes match a byte, not a UTF-8 character, and there are no
//! Unicode classes.

use std::fmt;

use regex_automata::meta;
use regex_automata::util::syntax;

/// A compiled regex; copies share one program.
#[derive(Clone)]
pub struct Regex {
    pattern: String,
    program: meta::Regex,
}

/// The most memory that one compiled pattern may take.
const LARGEST_PROGRAM: usize = 1 << 20;

impl Regex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let bytes = syntax::Config::new().unicode(false).utf8(false);
        // On its own first, so that `a)(b` cannot break out of the group.
        syntax::parse_with(pattern, &bytes).map_err(|error| one_line(&error.to_string()))?;
        let whole = format!(r"\A(?:{pattern})\z");
        let program = meta::Regex::builder()
            .syntax(bytes)
            .configure(
                meta::Config::new()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(LARGEST_PROGRAM)),
            )
            .build(&whole)
            .map_err(|_| "is too large once compiled".to_owned())?;
        Ok(Self {
            pattern: pattern.to_owned(),
            program,
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
        self.program.is_match(value)
    }
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
        assert!(Regex::new(r"\d{3}.*").unwrap().is_match(b"123\xff\xfe"));
        assert!(Regex::new("").unwrap().is_match(b""));
        assert!(Regex::new("(?i)ä").unwrap().is_match("ä".as_bytes()));
    }

    #[test]
    fn bad_patterns_say_why_in_one_line() {
        for (pattern, reason) in [
            ("(", "unclosed group"),
            ("a)(b", "unopened group"),
            (r"\pL", "Unicode not allowed here"),
            ("(?=a)", "look-around"),
            (r"(\w{1000}){1000}", "too large"),
        ] {
            let error = Regex::new(pattern).expect_err(pattern);
            assert!(error.contains(reason) && !error.contains('\n'), "{error}");
        }
    }
}
