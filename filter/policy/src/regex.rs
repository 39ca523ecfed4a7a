//! Regular expressions that match a whole value, as Envoy's RE2 does.
//!
//! Each is compiled into a table when it is read, so that a byte of a value
//! costs one look into it, whatever the pattern. A pattern that needs a larger
//! table than [`Regex::LARGEST`] is refused.
//!
//! Unlike in RE2 there are no Unicode classes, and `(?i)` folds the case of
//! ASCII letters only.

mod cache;
mod cheaper;
mod meaning;
mod table;

pub use cache::Regexes;

use std::fmt;
use std::sync::Arc;

use crate::code::Code;

use regex_syntax::ast::parse::ParserBuilder;

use table::{MOST_CELLS, MOST_STEPS, Table, TooLarge};

/// A compiled regex; copies share one table.
#[derive(Clone)]
pub struct Regex {
    pattern: Arc<str>,
    table: Arc<Table>,
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexError {
    /// What kind of mistake it is.
    pub code: Code,
    /// In one line: a predicate whose subject is the pattern.
    pub reason: String,
}

impl fmt::Display for RegexError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

/// Groups within groups.
const DEEPEST: u32 = 100;
const KIB: usize = 1024;

impl Regex {
    /// The most bytes that the table of one pattern takes, within a few
    /// hundred.
    pub const LARGEST: usize = MOST_CELLS * size_of::<u16>();

    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let wrong = |reason: String| RegexError {
            code: Code::MalformedRegex,
            reason: format!("must be a regular expression: {reason}"),
        };
        let ast = ParserBuilder::new()
            .nest_limit(DEEPEST)
            .build()
            .parse(pattern)
            .map_err(|error| wrong(error.kind().to_string()))?;
        let meaning = meaning::of(&ast).map_err(|reason| wrong(reason.to_owned()))?;
        let table = Table::new(&meaning).map_err(|too_large| {
            let size = match too_large {
                TooLarge::Table(bytes) => {
                    let (size, most) = (bytes.div_ceil(KIB), Self::LARGEST / KIB);
                    format!("its table takes {size} KiB; at most {most} KiB are allowed")
                }
                TooLarge::Automaton(most) => {
                    let most = most / KIB;
                    format!("its automaton takes more than the allowed {most} KiB")
                }
                TooLarge::Steps => {
                    format!("it has more than the allowed {MOST_STEPS} steps")
                }
            };
            let cheaper = cheaper::spelling(pattern, &ast);
            RegexError {
                code: Code::ExpensiveRegex,
                reason: format!("is too expensive: {size}; {cheaper}"),
            }
        })?;
        Ok(Self {
            pattern: pattern.into(),
            table: Arc::new(table),
        })
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Bytes of memory that it takes, its copies included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pattern.len() + self.table.bytes()
    }

    /// Whether the whole of `value` matches. A byte that is not UTF-8 counts
    /// as U+FFFD, as it does for RE2.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.table.is_match(value)
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

#[cfg(test)]
mod tests;
