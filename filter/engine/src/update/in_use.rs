//! Which of the configurations in a VM an update replaces.
//!
//! Envoy does not tell. Old configurations live on until their last request has ended, and
//! several listeners may use one plugin name, with a configuration each. An old
//! configuration gets no new requests once the newer one has had its first; two listeners
//! with one plugin name both get requests. So a configuration of another listener is taken
//! only if that listener has had no request since the newest was loaded, or has no
//! configuration of its own yet. To avoid this, give each listener a `root_id` of its own
//! (docs/reference/crashes.md).

/// The use that one configuration has seen, in the VM's own count of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// The count when it was loaded.
    pub loaded: u64,
    /// Its first request.
    pub first: Option<u64>,
    /// Its latest request.
    pub latest: Option<u64>,
}

impl Use {
    /// One loaded now.
    #[must_use]
    pub fn new(count: u64) -> Self {
        Self {
            loaded: count,
            ..Self::default()
        }
    }

    /// A request begins under it.
    pub fn begin(&mut self, count: u64) {
        self.first.get_or_insert(count);
        self.latest = Some(count);
    }

    /// Whether it has had no request since a newer one had its first: probably
    /// that one has taken its place.
    #[must_use]
    pub fn ended_before(&self, newer: &Self) -> bool {
        let is_before = |first| self.latest.is_none_or(|latest| latest < first);
        newer.first.is_some_and(is_before)
    }
}

/// The one in force, of all configurations of a plugin that live; `None` if there
/// is none, or if it cannot be told.
#[must_use]
pub fn in_force<T>(candidates: &[(Use, T)]) -> Option<&T> {
    let (place, newest) = (candidates.iter().enumerate()).max_by_key(|(_, it)| it.0.loaded)?;
    let mut others = (candidates.iter().enumerate()).filter(|(other, _)| *other != place);
    let since = newest.0.first.unwrap_or(newest.0.loaded);
    let is_beside = |used: &Use| used.latest.is_some_and(|latest| latest > since);
    let in_doubt = others.any(|(_, (used, _))| is_beside(used));
    (!in_doubt).then_some(&newest.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn seen(loaded: u64, first: u64, latest: u64) -> Use {
        Use {
            loaded,
            first: Some(first),
            latest: Some(latest),
        }
    }

    #[test]
    fn the_newest_is_in_force_while_old_ones_drain() {
        assert_eq!(in_force::<&str>(&[]), None);
        let old = (seen(0, 1, 10), "old");
        assert_eq!(in_force(&[old]), Some(&"old"));
        let new = (seen(10, 12, 40), "new");
        assert_eq!(in_force(&[old, new]), Some(&"new"));
        // A request that came to the old one just before the switch.
        let late = (seen(0, 1, 11), "late");
        assert_eq!(in_force(&[late, new]), Some(&"new"));
        assert_eq!(in_force(&[old, (Use::new(10), "idle")]), Some(&"idle"));
    }

    #[test]
    fn two_that_stand_side_by_side_are_not_taken_for_each_other() {
        let one = (seen(0, 3, 50), "one");
        assert_eq!(in_force(&[one, (seen(1, 4, 49), "two")]), None);
        assert_eq!(in_force(&[one, (Use::new(1), "idle")]), None);
    }

    #[test]
    fn the_place_of_one_without_requests_is_taken_by_a_newer_one_that_has_some() {
        let newer = seen(10, 12, 40);
        assert!(seen(0, 1, 11).ended_before(&newer) && Use::new(3).ended_before(&newer));
        assert!(!seen(0, 1, 13).ended_before(&newer));
        assert!(!seen(0, 1, 5).ended_before(&Use::new(10)));
    }

    #[test]
    fn a_use_is_counted_from_its_first_request_to_its_latest() {
        let mut used = Use::new(5);
        used.begin(6);
        used.begin(9);
        assert_eq!(used, seen(5, 6, 9));
    }
}
