//! Conditions on the path as regexes of `:path`, which also contains the query. As in
//! `rateLimit.local`, the query does not count.

use btp_policy::spec::PathPattern;

/// Whatever may follow a path.
const QUERY: &str = r"([?#].*)?";

/// The regex of a condition; it is for the whole of `:path`.
pub(super) fn of(pattern: &PathPattern) -> String {
    match pattern {
        PathPattern::Exact(path) => format!("{}{QUERY}", quoted(path)),
        PathPattern::Prefix(prefix) => {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            format!("{}([/?#].*)?", quoted(prefix))
        }
        PathPattern::Regex(regex) => format!("(?:{}){QUERY}", within_path(regex.pattern())),
    }
}

/// A text as a regex for itself.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// A pattern whose `.`, negated sets and negated classes leave out `?` and `#`, so
/// that it ends where the path does.
fn within_path(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_u32;
    while let Some(character) = rest.next() {
        match character {
            '\\' => {
                let next = rest.next();
                match (next, depth) {
                    (Some(class @ ('D' | 'S' | 'W')), 0) => {
                        let inner = class.to_ascii_lowercase();
                        out.push_str(&format!(r"[^?#\{inner}]"));
                    }
                    (next, _) => {
                        out.push('\\');
                        out.extend(next);
                    }
                }
            }
            '.' if depth == 0 => out.push_str("[^?#]"),
            '[' => {
                // Within a set that may be a class such as [:alpha:].
                depth += 1;
                out.push('[');
                if depth == 1 && rest.next_if_eq(&'^').is_some() {
                    out.push_str("^?#");
                }
                if depth == 1 && rest.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' => {
                depth = depth.saturating_sub(1);
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use btp_policy::Regex;
    use proptest::prelude::*;

    use super::*;

    fn is_match(pattern: &PathPattern, path: &str) -> bool {
        Regex::new(&of(pattern)).unwrap().is_match(path.as_bytes())
    }

    fn regex(pattern: &str) -> PathPattern {
        PathPattern::Regex(Regex::new(pattern).unwrap())
    }

    #[test]
    fn a_query_counts_for_nothing() {
        let exact = PathPattern::Exact("/a.b".to_owned());
        for path in ["/a.b", "/a.b?", "/a.b?x=/c", "/a.b#x"] {
            assert!(is_match(&exact, path), "{path}");
        }
        for path in ["/axb", "/a.b/", "/a.bc", "/?/a.b"] {
            assert!(!is_match(&exact, path), "{path}");
        }
        let prefix = PathPattern::Prefix("/a/".to_owned());
        for path in ["/a", "/a/", "/a/b", "/a?b", "/a/b?c"] {
            assert!(is_match(&prefix, path), "{path}");
        }
        assert!(!is_match(&prefix, "/ab") && !is_match(&prefix, "/b?/a/"));
        assert!(is_match(&PathPattern::Prefix("/".to_owned()), "/x?y"));
        let some = regex("/a.*b");
        assert!(is_match(&some, "/a/b") && is_match(&some, "/ab?x"));
        assert!(!is_match(&some, "/ax?yb"), "the b is one of the query");
    }

    #[test]
    fn no_part_of_a_pattern_reaches_into_the_query() {
        for pattern in [
            r"/a[^/]*b",
            r"/a\S*b",
            r"/a[^]]*b",
            r"/a[^\]x]*b",
            r"/a(.|c)*b",
        ] {
            let pattern = regex(pattern);
            assert!(is_match(&pattern, "/a--b") && is_match(&pattern, "/a--b?b"));
            assert!(!is_match(&pattern, "/a?b"), "{pattern:?}");
        }
        let set = regex(r"/[[:alpha:].\.]+");
        assert!(is_match(&set, "/a.b") && is_match(&set, "/a.b?1") && !is_match(&set, "/1"));
    }

    proptest! {
        #[test]
        fn what_matches_a_path_matches_it_with_any_query(
            path in "/[ab.]{0,4}", query in "([?#][ab?/]{0,3})?", wanted in "/[ab.]{0,4}",
        ) {
            for (pattern, holds) in [
                (PathPattern::Exact(wanted.clone()), path == wanted),
                (regex(&quoted(&wanted)), path == wanted),
                (regex("/a.*"), path.starts_with("/a")),
            ] {
                prop_assert_eq!(is_match(&pattern, &format!("{path}{query}")), holds);
            }
        }
    }
}
