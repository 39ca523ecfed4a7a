//! "Did you mean …?": the nearest known name to one that is not known.

/// The name in `known` that `wrong` most probably meant, if one is near
/// enough: at most a third of its letters differ, case ignored.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let most = |name: &str| name.chars().count().max(3) / 3;
    let length = wrong.chars().count();
    known
        .iter()
        // Names differ by as many letters as one is longer, at the least.
        .filter(|name| length.abs_diff(name.chars().count()) <= most(name))
        .map(|name| {
            let folded = (wrong.to_ascii_lowercase(), name.to_ascii_lowercase());
            (distance(&folded.0, &folded.1), *name)
        })
        .filter(|(distance, name)| *distance <= most(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let above = *cell;
            *cell = (diagonal + usize::from(from != *to))
                .min(above + 1)
                .min(before + 1);
            diagonal = above;
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let known = ["fixedDelay", "percentage"];
        assert_eq!(nearest("fixDelay", &known), Some("fixedDelay"));
        assert_eq!(nearest("PERCENTAGE", &known), Some("percentage"));
        assert_eq!(nearest("colour", &known), None);
    }
}
