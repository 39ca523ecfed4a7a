//! The query of a request, parsed once however many conditions use it.
//!
//! Only the parameters that a policy names are stored. So a query takes as much memory as
//! the policy has names, however many parameters it has.

use std::borrow::Cow;

use btp_policy::sort;

use super::split_at_any;

/// Names of query parameters: sorted, and each but once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParamNames(Vec<String>);

/// A query's values under some names.
#[derive(Clone, Debug)]
pub(super) struct Query<'a, 'n> {
    names: &'n ParamNames,
    /// The first value of each name as it came, and where in the path it is.
    found: Vec<Option<(usize, &'a [u8])>>,
}

impl ParamNames {
    pub(crate) const NONE: Self = Self(Vec::new());

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.0.into_iter().collect()
    }

    fn place(&self, name: &[u8]) -> Option<usize> {
        let by_bytes = |other: &String| other.as_bytes().cmp(name);
        self.0.binary_search_by(by_bytes).ok()
    }
}

impl FromIterator<String> for ParamNames {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(sort::set(names))
    }
}

impl<'a, 'n> Query<'a, 'n> {
    /// Looks for these names in the query of `path`.
    pub(super) fn of(path: &'a [u8], names: &'n ParamNames) -> Self {
        let mut found = vec![None; names.0.len()];
        let (before, query) = split_at_any(path, b"?");
        let (query, _) = split_at_any(query, b"#");
        let mut next = before.len() + 1;
        for pair in query.split(|byte| *byte == b'&') {
            let (key, value) = split_at_any(pair, b"=");
            let end = next + pair.len();
            next = end + 1;
            let place = names.place(&percent_decoded(key));
            if let Some(slot) = place.and_then(|it| found.get_mut(it)) {
                slot.get_or_insert((end - value.len(), value));
            }
        }
        Self { names, found }
    }

    /// The first value of this name; `None` if it is not one of the names that
    /// were asked about.
    pub(super) fn get(&self, name: &str) -> Option<Option<(usize, &'a [u8])>> {
        self.found.get(self.names.place(name.as_bytes())?).copied()
    }
}

/// Decodes `%41`; what is no escape stays as it is, `+` included, as in
/// Envoy's `PercentEncoding::decode`.
pub(crate) fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        match after {
            [high, low, after @ ..] if *first == b'%' => {
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                    decoded.push(high << 4 | low);
                    rest = after;
                    continue;
                }
                decoded.push(*first);
            }
            _ => decoded.push(*first),
        }
        rest = after;
    }
    Cow::Owned(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn names_that_nobody_asks_for_take_no_memory() {
        let names: ParamNames = ["b".to_owned(), "a".to_owned(), "b".to_owned()]
            .into_iter()
            .collect();
        let path = format!("/?{}b=1&a=2&b=3", "x=y&".repeat(10_000));
        let query = Query::of(path.as_bytes(), &names);
        assert_eq!(query.found.len(), 2);
        let value = |name| query.get(name).map(|it| it.map(|(_, value)| value));
        assert_eq!(value("b"), Some(Some(&b"1"[..])));
        assert_eq!(value("x"), None);
    }

    proptest! {
        #[test]
        fn all_names_at_once_find_what_each_finds_alone(
            path in "/[a-c]{0,2}(\\?([ab=&%#?]|%6[12]|c=[a-c]){0,12})?",
        ) {
            let all: ParamNames = ["a", "b", "c", "ab"].map(str::to_owned).into_iter().collect();
            let together = Query::of(path.as_bytes(), &all);
            for name in ["a", "b", "c", "ab"] {
                let alone: ParamNames = std::iter::once(name.to_owned()).collect();
                let found = Query::of(path.as_bytes(), &alone).get(name).unwrap();
                prop_assert_eq!(together.get(name), Some(found));
                if let Some((start, value)) = found {
                    prop_assert_eq!(&path.as_bytes()[start..start + value.len()], value);
                }
            }
        }
    }
}
