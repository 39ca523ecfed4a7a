#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Concurrency, places};
use crate::spec::tests::rules;

fn read(classes: &str) -> Result<Concurrency, Vec<String>> {
    read_of(10, classes)
}

fn read_of(max: u32, classes: &str) -> Result<Concurrency, Vec<String>> {
    let rule = format!(r#"{{"concurrency":{{"max":{max},"classes":{classes}}}}}"#);
    Ok(rules(&rule)?.remove(0).concurrency.unwrap())
}

/// A class of this name, for a header of the same name.
fn class(name: &str, reserved: &str) -> String {
    format!(
        r#"{{"name":"{name}","reserved":"{reserved}",
            "clientSelectors":[{{"headers":[{{"name":"x-tier","value":"{name}"}}]}}]}}"#
    )
}

#[test]
fn classes_come_in_order_and_the_last_one_may_be_for_all_others() {
    let list = format!(
        r#"[{},{{"name":"batch","clientSelectors":[{{"path":{{"value":"/batch"}}}}]}},
            {{"name":"rest","reserved":"15%"}}]"#,
        class("paying", "20%")
    );
    let read = read(&list).unwrap();
    let reserved = read
        .classes
        .iter()
        .map(|it| (it.name.as_str(), it.reserved));
    let wanted = [("paying", 2), ("batch", 0), ("rest", 1)];
    assert_eq!(reserved.collect::<Vec<_>>(), wanted);
    assert!(read.classes[2].selector.is_empty());
    assert_eq!(read.max, 10);
}

/// Whoever has a share has a place.
#[test]
fn shares_are_rounded_down_and_never_to_nothing() {
    for (max, percent, wanted) in [
        (10, 0, 0),
        (10, 1, 1),
        (10, 29, 2),
        (1, 99, 1),
        (100, 33, 33),
        (u32::MAX, 100, u32::MAX),
        (u32::MAX, 1, 42_949_672),
    ] {
        assert_eq!(places(max, percent), wanted, "{percent} of {max}");
    }
}

#[test]
fn what_classes_cannot_mean_is_refused() {
    let distinct = r#"[{"name":"a","clientSelectors":[{"headers":[
        {"name":"x-user","type":"Distinct"}]}]}]"#;
    let two = |first: &str, second: &str| format!("[{first},{second}]");
    let share = |text: &str| format!("[{}]", class("a", text));
    for (classes, wanted) in [
        ("[]".to_owned(), "classes: must have 1 to 8 items"),
        (
            format!("[{}]", ["{\"name\":\"a\"}"; 9].join(",")),
            "classes: must have 1 to 8 items",
        ),
        (
            r#"[{"reserved":"5%"}]"#.to_owned(),
            "classes[0].name: is required",
        ),
        (
            r#"[{"name":"A b"}]"#.to_owned(),
            "classes[0].name: must be a DNS label",
        ),
        (
            two(&class("a", "1%"), &class("a", "1%")),
            "classes[1]: must have its own name: classes[0] has the same name",
        ),
        (
            two(r#"{"name":"a"}"#, &class("b", "1%")),
            "classes[0]: must have clientSelectors: only the last",
        ),
        (
            two(r#"{"name":"a","clientSelectors":[]}"#, &class("b", "1%")),
            "classes[0]: must have clientSelectors: only the last",
        ),
        (distinct.to_owned(), "must not have type Distinct"),
        (share("101%"), "reserved: must be a whole percentage of max"),
        (share("20"), "reserved: must be a whole percentage of max"),
        (share("020%"), "reserved: must be a whole percentage of max"),
        (share("2.5%"), "reserved: must be a whole percentage of max"),
        (share("+5%"), "reserved: must be a whole percentage of max"),
        (
            r#"[{"name":"a","reserved":20}]"#.to_owned(),
            "reserved: must be a string",
        ),
        (
            two(&class("a", "60%"), &class("b", "50%")),
            "classes: must not reserve more than max: 11 of 10 places",
        ),
        (
            r#"[{"name":"a","share":"5%"}]"#.to_owned(),
            "share: is not a known field",
        ),
    ] {
        let found = read(&classes).expect_err(&classes);
        assert!(found.iter().any(|it| it.contains(wanted)), "{found:?}");
    }
    let found = read_of(1, &two(&class("a", "1%"), &class("b", "1%"))).unwrap_err();
    assert!(found[0].contains("2 of 1 places"), "{found:?}");
}
