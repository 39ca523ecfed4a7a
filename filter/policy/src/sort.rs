//! Sorting of lists that are short: by insertion. The standard library's sorts are
//! made for long ones, and take 3 KiB of the filter for each type of item.

/// The items in order, each once.
#[must_use]
pub fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut sorted = Vec::new();
    for item in items {
        if let Err(place) = sorted.binary_search(&item) {
            sorted.insert(place, item);
        }
    }
    sorted
}

/// The items by their keys; those with equal keys stay in order.
pub(crate) fn by_key<T, K: Ord>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let mut sorted: Vec<T> = Vec::new();
    for item in items {
        let place = sorted.partition_point(|other| key(other) <= key(&item));
        sorted.insert(place, item);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::{by_key, set};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_library_sorts(items in proptest::collection::vec((0_u8..9, 0_u8..9), 0..30)) {
            let mut sorted = items.clone();
            sorted.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(by_key(items.clone(), |(key, _)| *key), sorted);
            let mut once = items.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(set(items), once);
        }
    }
}
