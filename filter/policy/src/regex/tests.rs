mod everyday;

use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::Regex;

#[test]
fn the_whole_value_must_match() {
    let regex = Regex::new("a|b+").unwrap();
    assert!(regex.is_match(b"a") && regex.is_match(b"bbb"));
    assert!(!regex.is_match(b"ab") && !regex.is_match(b"xa") && !regex.is_match(b"a\n"));
    assert!(Regex::new(r"\d{3}.*").unwrap().is_match(b"123\xff\xfe"));
    assert!(Regex::new("").unwrap().is_match(b""));
    assert!(Regex::new("(?i)Xä.").unwrap().is_match("xäö".as_bytes()));
}

#[test]
fn dots_and_classes_take_characters_and_a_broken_one_is_one_character() {
    let matches = |pattern: &str, value: &[u8]| Regex::new(pattern).unwrap().is_match(value);
    assert!(matches("..", "äö".as_bytes()) && !matches("....", "äö".as_bytes()));
    assert!(matches("[^a]", "ä".as_bytes()) && matches("[ä-ö]", "å".as_bytes()));
    assert!(matches("a.b", b"a\xffb") && matches("a\u{fffd}b", b"a\xffb"));
    assert!(matches("a..b", b"a\xff\xfeb") && !matches("a.b", b"a\xff\xfeb"));
}

#[test]
fn named_classes_and_case_go_by_ascii_as_in_re2() {
    let matches =
        |pattern: &str, value: &str| Regex::new(pattern).unwrap().is_match(value.as_bytes());
    assert!(matches(r"\d", "7") && !matches(r"\d", "٣"));
    assert!(matches(r"\w", "_") && !matches(r"\w", "ä") && matches(r"\W", "ä"));
    assert!(matches("(?i)k", "K") && !matches("(?i)k", "\u{212a}") && !matches("(?i)ä", "Ä"));
    assert!(matches("(?i)[^a-f]", "g") && !matches("(?i)[^a-f]", "C"));
    assert!(matches("(?i:a)b", "Ab") && !matches("(?i:a)b", "AB"));
    assert!(matches("a(?i)b|c", "C") && !matches("(a(?i)b)c", "abC"));
    assert!(matches(r".*\bbot\b.*", "a bot.") && !matches(r".*\bbot\b.*", "robots"));
    assert!(matches("(?m)a$\n^b", "a\nb") && !matches("a.b", "a\nb") && matches("(?s)a.b", "a\nb"));
    assert!(matches("[[:alpha:]&&[^x]]+", "abc") && !matches("[[:alpha:]&&[^x]]+", "axc"));
}

#[test]
fn bad_patterns_say_why_in_one_line() {
    for (pattern, reason) in [
        ("(", "unclosed group"),
        ("a)(b", "unopened group"),
        (
            r"\pL",
            "Unicode classes such as \\pL are not supported; list the characters",
        ),
        (r"[\p{Greek}]", "Unicode classes"),
        ("(?-u)a", "the flag u is not supported"),
        ("(?=a)", "look-around"),
        (r"(a)\1", "backreferences are not supported"),
    ] {
        let error = Regex::new(pattern).expect_err(pattern).reason;
        assert!(
            error.starts_with("must be a regular expression: ")
                && error.contains(reason)
                && !error.contains('\n'),
            "{error}"
        );
    }
    let deep = format!("{}a{}", "(".repeat(400), ")".repeat(400));
    assert!(Regex::new(&deep).unwrap_err().reason.contains("nest"));
}

/// Values that tell patterns apart, and patterns of everything that both
/// engines know.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "b",
        "ä",
        ".",
        "[ab]",
        "[^a]",
        "[^ä]",
        "[a-zä]",
        r"\d",
        r"\w",
        r"\W",
        r"\s",
        "[[:alpha:]]",
        "[^[:digit:]x]",
        r"\b",
        r"\B",
        "^",
        "$",
        r"\A",
        r"\z",
        "1",
        "_",
        r"\x41",
        "(?i)",
        "(?s)",
        "(?m)",
        "",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|all| all.concat()),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|all| all.join("|")),
                inner.clone().prop_map(|it| format!("({it})*")),
                inner.clone().prop_map(|it| format!("(?:{it})+?")),
                inner.clone().prop_map(|it| format!("(?i:{it})?")),
                inner.prop_map(|it| format!("(?:{it}){{1,3}}")),
            ]
        })
}

proptest! {
    #[test]
    fn means_what_a_backtracking_free_matcher_says(
        pattern in pattern(),
        values in prop::collection::vec("[abAB1_ä\n é-]{0,6}", 1..8),
    ) {
        let other = regex_lite::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
        let regex = Regex::new(&pattern).unwrap();
        for value in &values {
            prop_assert_eq!(regex.is_match(value.as_bytes()), other.is_match(value), "{}", value);
        }
    }
}

/// Pieces of values, of which many are not UTF-8.
fn broken_value() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "a".as_bytes(),
        b"1",
        b"\n",
        "ä".as_bytes(),
        "\u{fffd}".as_bytes(),
        // Bytes of no character, halves of characters, a surrogate, more than
        // one spelling, a character beyond the last.
        b"\xff",
        b"\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf4\x90\x80\x80",
    ]);
    prop::collection::vec(piece, 0..6).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn bytes_that_are_not_utf8_count_as_std_replaces_them(
        pattern in pattern(),
        special in prop::sample::select(vec!["", ".*", "\u{fffd}", "[^\u{fffd}]", "[\u{e000}-\u{ffff}]*"]),
        pieces in broken_value(),
        bytes in prop::collection::vec(any::<u8>(), 0..5),
    ) {
        let pattern = format!("{special}(?:{pattern}){special}");
        let regex = Regex::new(&pattern).unwrap();
        let other = regex_lite::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
        for value in [&pieces, &bytes, &[&*pieces, &*bytes].concat()] {
            let replaced = String::from_utf8_lossy(value);
            prop_assert_eq!(regex.is_match(value), regex.is_match(replaced.as_bytes()));
            prop_assert_eq!(regex.is_match(value), other.is_match(&replaced), "{}", replaced);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_accepted_takes_no_more_than_the_bound(pattern in pattern(), count in 1_u32..200) {
        let pattern = format!("{pattern}.{{0,{count}}}");
        if let Ok(regex) = Regex::new(&pattern) {
            prop_assert!(regex.bytes() <= Regex::LARGEST + pattern.len() + 300);
        }
    }
}
