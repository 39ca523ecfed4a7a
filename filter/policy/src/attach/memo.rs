//! What was found out about named routes, so that it is found out once.

use std::collections::BTreeMap;

/// The governing policies of the routes seen so far, by route name.
///
/// Route names come from the operator's configuration, yet a bound keeps a
/// configuration that changes for ever from filling the memory: beyond it,
/// routes are resolved anew each time.
#[derive(Clone, Debug)]
pub struct Memo {
    known: BTreeMap<Box<[u8]>, Option<usize>>,
    most: usize,
}

impl Memo {
    /// A memo of at most so many routes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            known: BTreeMap::new(),
            most,
        }
    }

    /// What is known of the route `name`; `None` if nothing is.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Option<usize>> {
        self.known.get(name).copied()
    }

    /// Notes which policy governs the route `name`. Routes without a name
    /// cannot be told apart and are not noted.
    pub fn remember(&mut self, name: &[u8], policy: Option<usize>) {
        if !name.is_empty() && self.known.len() < self.most {
            self.known.insert(name.into(), policy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Memo;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn notes_named_routes_up_to_its_bound() {
        let mut memo = Memo::new(2);
        memo.remember(b"", Some(9));
        for (name, policy) in [(b"a", Some(1)), (b"b", None), (b"c", Some(3))] {
            memo.remember(name, policy);
        }
        assert_eq!(memo.get(b""), None);
        assert_eq!(memo.get(b"a"), Some(Some(1)));
        assert_eq!(memo.get(b"b"), Some(None));
        assert_eq!(memo.get(b"c"), None);
    }
}
