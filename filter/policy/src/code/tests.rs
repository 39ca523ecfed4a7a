use std::fmt::Write as _;

use super::Code;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Which number is which cause. A line may be added; none may change, and one that goes
/// moves to the retired numbers above the list of codes.
const PINNED: &str = include_str!("../../testdata/codes.txt");

#[test]
fn a_number_keeps_its_cause() {
    let mut all = String::new();
    for code in Code::ALL {
        let _ = writeln!(all, "{code} {code:?}");
    }
    assert_eq!(all, PINNED);
}

#[test]
fn numbers_rise_and_titles_differ() {
    let mut titles = std::collections::BTreeSet::new();
    for pair in Code::ALL.windows(2) {
        let [first, second] = pair else { continue };
        assert!(first.number() < second.number(), "{first} {second}");
        assert!(titles.insert(first.title()), "{first}: {}", first.title());
    }
}

#[test]
fn codes_are_written_as_letters_and_four_digits() {
    assert_eq!(Code::UnknownField.to_string(), "BTP0101");
    for code in Code::ALL {
        assert_eq!(Code::parse(&code.to_string()), Some(*code));
    }
    assert_eq!(Code::parse("btp0101"), Some(Code::UnknownField));
    for text in [
        "",
        "BTP",
        "BTP101",
        "BTP00101",
        "BTP0x01",
        "ÄBTP0101",
        "BTP0199",
    ] {
        assert_eq!(Code::parse(text), None, "{text}");
    }
    assert_eq!(Code::number_in("BTP0199"), Some(199));
    assert_eq!(Code::nearest(199), Some(Code::MergeNeedsRoutes));
}
