//! Cached facts about named routes and clusters, so that each is resolved once.

use hashbrown::HashMap;

/// The routes, or clusters, seen so far, by name.
///
/// Their names come from the operator's configuration, yet a bound keeps a
/// configuration that changes for ever from filling the memory: beyond it,
/// they are resolved anew each time.
#[derive(Clone, Debug)]
pub(crate) struct Memo<T> {
    known: HashMap<Box<[u8]>, T>,
    most: usize,
}

/// The policy and route of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResolvedRoute {
    /// The policy that governs it.
    pub(crate) policy: Option<usize>,
    /// A hash of its route's name; only known if limits depend on it.
    pub(crate) route: u64,
}

impl<T: Copy> Memo<T> {
    /// A memo of at most so many names.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            known: HashMap::new(),
            most,
        }
    }

    /// What is known of `name`; `None` if nothing is.
    pub(crate) fn get(&self, name: &[u8]) -> Option<T> {
        self.known.get(name).copied()
    }

    /// Notes what holds for requests of the route or cluster `name`. Those without a name
    /// cannot be told apart and are not noted.
    pub(crate) fn insert(&mut self, name: &[u8], known: T) {
        if !name.is_empty() && self.known.len() < self.most {
            self.known.insert(name.into(), known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Memo, ResolvedRoute};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn notes_named_routes_up_to_its_bound() {
        let place = |policy| ResolvedRoute { policy, route: 7 };
        let mut memo = Memo::new(2);
        memo.insert(b"", place(Some(9)));
        for (name, policy) in [(b"a", Some(1)), (b"b", None), (b"c", Some(3))] {
            memo.insert(name, place(policy));
        }
        assert_eq!(memo.get(b""), None);
        assert_eq!(memo.get(b"a"), Some(place(Some(1))));
        assert_eq!(memo.get(b"b"), Some(place(None)));
        assert_eq!(memo.get(b"c"), None);
    }
}
