use btp_policy::spec::Capability;
use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Decided, MOST, Value, add};
use crate::host::metrics::{Label, Labels};

/// The page that says what each action means.
const PAGE: &str = include_str!("../../../../docs/reference/access-log.md");

fn labels(namespace: &str, policy: &str, rule: Option<&str>) -> Labels {
    Labels {
        namespace: namespace.to_owned(),
        policy: policy.to_owned(),
        part: rule.map(|rule| (Label::Rule, rule.to_owned())),
        class: None,
    }
}

fn text_of(decisions: &[(Labels, Decided, Value)]) -> String {
    let mut text = Vec::new();
    for (labels, decided, value) in decisions {
        add(&mut text, labels, *decided, *value);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_policy_is_named_where_it_changes() {
    let faults = labels("team", "f", None);
    let limits = |rule| labels("team", "limits", Some(rule));
    let delay = (faults.clone(), Decided::Delayed, Value::Nanos(200_000_000));
    let queued = |rule| (limits(rule), Decided::Queued, Value::Nanos(119_000_001));
    let abort = (faults, Decided::Aborted, Value::Status(503));
    let text = text_of(&[delay, queued("a"), queued("b"), abort]);
    assert_eq!(
        text,
        "team/f faultInjection=delayed:200ms; team/limits rateLimit/a=queued:120ms \
         rateLimit/b=queued:120ms; team/f faultInjection=aborted:503"
    );
}

/// A retry or a redirect asks the same rules again.
#[test]
fn what_is_there_is_not_written_again() {
    let (faults, limits) = (labels("t", "f", None), labels("t", "l", Some("r")));
    let reset = || (faults.clone(), Decided::Aborted, Value::Reset);
    let limited = || (limits.clone(), Decided::Limited, Value::None);
    let text = text_of(&[reset(), limited(), reset(), limited()]);
    assert_eq!(
        text,
        "t/f faultInjection=aborted:reset; t/l rateLimit/r=limited"
    );
    let elsewhere = (labels("u", "f", None), Decided::Aborted, Value::Reset);
    let text = text_of(&[reset(), elsewhere]);
    assert_eq!(
        text,
        "t/f faultInjection=aborted:reset; u/f faultInjection=aborted:reset"
    );
}

#[test]
fn a_class_is_a_value() {
    let mut of_class = labels("t", "l", Some("r"));
    of_class.class = Some("gold".to_owned());
    let text = text_of(&[(of_class, Decided::ConcurrencyLimited, Value::None)]);
    assert_eq!(text, "t/l rateLimit/r=concurrency_limited:gold");
}

#[test]
fn names_cannot_end_an_entry_or_a_line() {
    let odd = labels("a;b", "c d\n\"", Some("x=1,y:z/\u{e4}"));
    let text = text_of(&[(odd, Decided::Limited, Value::None)]);
    assert_eq!(text, "a_b/c_d__ rateLimit/x_1_y_z___=limited");
}

/// The longest names that there can be.
#[test]
fn one_entry_always_fits() {
    let mut longest = labels(&"n".repeat(63), &"p".repeat(253), Some(&"r".repeat(63)));
    longest.class = Some("c".repeat(63));
    let shadow = Decided::ShadowConcurrencyLimited;
    let text = text_of(&[(longest, shadow, Value::None)]);
    assert!(text.ends_with("ccc") && text.len() <= MOST, "{text}");
}

#[test]
fn what_does_not_fit_leaves_a_mark() {
    let rule = |index: usize| labels("team", "limits", Some(&format!("rule-number-{index}")));
    let all: Vec<_> = (0..40)
        .map(|index| (rule(index), Decided::ShadowLimited, Value::None))
        .collect();
    let text = text_of(&all);
    assert!(text.len() <= MOST, "{text}");
    let (entries, mark) = text.rsplit_once(' ').unwrap();
    assert_eq!(mark, "+");
    assert!(entries.ends_with("=shadow_limited"), "{text}");
    // What would still fit does not come behind the mark.
    let mut bytes = text.clone().into_bytes();
    let short = labels("t", "l", None);
    assert!(!add(&mut bytes, &short, Decided::Timeout, Value::None));
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
}

#[test]
fn a_longer_text_of_somebody_else_stays() {
    let mut text = vec![b'x'; MOST];
    let policy = labels("t", "l", None);
    assert!(!add(&mut text, &policy, Decided::Timeout, Value::None));
    assert_eq!(text.len(), MOST);
}

#[test]
fn capabilities_are_named_as_enforce_names_them() {
    for decided in Decided::ALL {
        let (capability, _) = decided.names();
        assert!(Capability::NAMES.contains(&capability), "{decided:?}");
    }
}

/// The page has a row for each action, and for nothing else.
#[test]
fn the_page_lists_the_actions() {
    let rows = PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let action = cells.next()?.split(['`', ':']).next()?;
        let capability = cells.next()?.trim().strip_prefix('`')?;
        Some((capability.strip_suffix('`')?, action))
    });
    let rows: Vec<(&str, &str)> = rows.collect();
    let all: Vec<(&str, &str)> = Decided::ALL.iter().map(|it| it.names()).collect();
    let missing: Vec<_> = all.iter().filter(|it| !rows.contains(it)).collect();
    let unknown: Vec<_> = rows.iter().filter(|it| !all.contains(it)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    assert!(unknown.is_empty(), "on the page, and unknown: {unknown:?}");
}

proptest! {
    /// Whatever names and decisions there are: the text stays in its bound, fits into one
    /// field of a log, only grows, and is cut between entries.
    #[test]
    fn the_text_is_bounded(
        decisions in prop::collection::vec(
            (
                ".{1,70}", ".{1,260}", prop::option::of(".{1,70}"),
                0..Decided::ALL.len(), any::<u64>(), any::<u16>(), 0..4,
            ),
            0..30,
        ),
    ) {
        let mut text = Vec::new();
        for (namespace, policy, rule, action, nanos, status, kind) in decisions {
            let before = text.clone();
            let value = match kind {
                0 => Value::None,
                1 => Value::Nanos(nanos),
                2 => Value::Status(status),
                _ => Value::Reset,
            };
            let decided = Decided::ALL[action];
            let labels = labels(&namespace, &policy, rule.as_deref());
            let changed = add(&mut text, &labels, decided, value);
            prop_assert_eq!(changed, text != before);
            prop_assert!(text.starts_with(&before));
            prop_assert!(text.len() <= MOST);
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" ;/=:-._+".contains(byte);
            prop_assert!(text.iter().all(plain));
            let last = text.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            prop_assert!(last.is_empty() || last == b"+" || last.contains(&b'='));
        }
    }
}
