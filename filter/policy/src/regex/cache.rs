//! The regexes of a configuration: each compiled once, however often it is
//! written, and all of them bounded in what they take.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::{Regex, RegexError};
use crate::code::Code;

/// What has been compiled so far: what readers of conditions are given beside the list
/// of problems, and share.
#[derive(Debug)]
pub struct Regexes {
    known: RefCell<BTreeMap<String, Result<Regex, RegexError>>>,
    /// What those that are in order take.
    bytes: Cell<usize>,
    most_bytes: usize,
    /// Those that were too expensive, or are no regexes.
    refused: Cell<usize>,
    /// Conditions read, each with its regex.
    conditions: Cell<usize>,
}

impl Default for Regexes {
    fn default() -> Self {
        Self {
            known: RefCell::default(),
            bytes: Cell::new(0),
            most_bytes: Self::DEFAULT_BYTES,
            refused: Cell::new(0),
            conditions: Cell::new(0),
        }
    }
}

impl Regexes {
    /// Bytes that all of them may take, unless `limits.regexBytes` says
    /// otherwise.
    pub const DEFAULT_BYTES: usize = 16 << 20;
    /// The most conditions with regexes in one policy. A request that meets
    /// all of them has each of its bytes looked at so many times.
    pub const MOST_CONDITIONS: usize = 128;
    /// The most invalid regexes whose reason is computed. Refusing a regex may take as long
    /// as compiling the most expensive one.
    const MOST_REFUSED: usize = 32;

    /// None yet, and no more than these bytes.
    #[must_use]
    pub fn up_to(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            ..Self::default()
        }
    }

    /// The regex `pattern`, which is one more condition.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn get(&self, pattern: &str) -> Result<Regex, RegexError> {
        self.conditions.set(self.conditions.get().saturating_add(1));
        if let Some(known) = self.known.borrow().get(pattern) {
            return known.clone();
        }
        let result = self.compile(pattern);
        let refused = self.refused.get() + usize::from(result.is_err());
        self.refused.set(refused);
        if refused <= Self::MOST_REFUSED {
            let mut known = self.known.borrow_mut();
            known.insert(pattern.to_owned(), result.clone());
        }
        result
    }

    /// Bytes of memory that all of them take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// How many conditions have been read.
    #[must_use]
    pub fn conditions(&self) -> usize {
        self.conditions.get()
    }

    fn compile(&self, pattern: &str) -> Result<Regex, RegexError> {
        const KIB: usize = 1024;
        if self.refused.get() >= Self::MOST_REFUSED {
            let most = Self::MOST_REFUSED;
            return Err(RegexError {
                code: Code::RegexNotRead,
                reason: format!("is not checked: {most} other regular expressions are wrong"),
            });
        }
        let regex = Regex::new(pattern)?;
        let (bytes, most) = (
            self.bytes.get().saturating_add(regex.bytes()),
            self.most_bytes,
        );
        if bytes > most {
            let (bytes, most) = (bytes.div_ceil(KIB), most / KIB);
            let reason = format!(
                "is one too many: the regular expressions so far take {bytes} KiB, and \
                 limits.regexBytes is {most} KiB; simplify them, or raise the limit"
            );
            return Err(RegexError {
                code: Code::RegexesTooLarge,
                reason,
            });
        }
        self.bytes.set(bytes);
        Ok(regex)
    }
}

#[cfg(test)]
mod tests {
    use super::{RegexError, Regexes};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_same_regex_is_compiled_and_counted_once() {
        let regexes = Regexes::default();
        let one = regexes.get("a+").unwrap();
        let bytes = regexes.bytes();
        assert_eq!((bytes, one.bytes()), (one.bytes(), bytes));
        assert_eq!(one, regexes.get("a+").unwrap());
        assert_eq!((regexes.bytes(), regexes.conditions()), (bytes, 2));
        assert!(regexes.get("(").is_err());
    }

    #[test]
    fn what_all_of_them_take_is_bounded() {
        let regexes = Regexes::up_to(16 * 1024);
        let refused = (0..1_000).find_map(|index| regexes.get(&format!("a{index}[a-z]+")).err());
        assert_eq!(
            refused.unwrap().reason,
            "is one too many: the regular expressions so far take 17 KiB, and limits.regexBytes \
             is 16 KiB; simplify them, or raise the limit"
        );
        assert!(regexes.bytes() <= 16 * 1024);
    }

    #[test]
    fn not_every_wrong_one_is_looked_at() {
        let regexes = Regexes::default();
        let wrong: Vec<_> = (0..100)
            .filter_map(|index| regexes.get(&format!("({index}")).err())
            .collect();
        assert_eq!(wrong.len(), 100);
        let not_seen = |error: &&RegexError| error.reason.starts_with("is not checked: 32 other");
        assert_eq!(wrong.iter().filter(not_seen).count(), 68);
    }
}
