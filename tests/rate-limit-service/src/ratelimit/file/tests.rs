use super::*;

const RIGHT: &str = "
domain: shop
descriptors:
- key: aisle
  value: wine
  rate_limit: {unit: minute, requests_per_unit: 7}
  shadow_mode: true
- key: aisle
  descriptors:
  - key: shelf
    value: 12
    rate_limit: {unit: Day, requests_per_unit: 0}
- key: free
  rate_limit: ~
";

fn refusal(text: &str) -> String {
    format!("{:#}", read(text).unwrap_err())
}

#[test]
fn limits_are_where_the_file_has_them() {
    let config = read(RIGHT).unwrap();
    assert_eq!(config.domain, "shop");
    assert!(config.root.limit.is_none());
    let wine = config.root.children["aisle_wine"].limit.unwrap();
    assert_eq!((wine.requests_per_unit, wine.shadow_mode), (7, true));
    assert_eq!(wine.window.seconds(), 60);
    let aisle = &config.root.children["aisle"];
    assert!(aisle.limit.is_none());
    let shelf = aisle.children["shelf_12"].limit.unwrap();
    assert_eq!((shelf.requests_per_unit, shelf.shadow_mode), (0, false));
    assert_eq!(shelf.window.seconds(), 86_400);
    assert!(config.root.children["free"].limit.is_none());
}

#[test]
fn what_it_would_not_start_with_is_refused_with_its_place() {
    for (from, to, wanted) in [
        ("domain: shop", "domain: ''", "domain: empty"),
        ("domain: shop", "domain: ~", "domain: empty"),
        ("domain: shop", "domains: shop", "domains: unknown"),
        ("key: free", "key: ''", "descriptors[2].key: empty"),
        ("key: free", "value: x", "descriptors[2].key: empty"),
        ("key: free", "name: free", "descriptors[2].name: unknown"),
        ("key: free", "key: aisle", "descriptors[2].key: \"aisle\""),
        // Joined, it is the same name as the first.
        ("key: free", "key: aisle_wine", "\"aisle_wine\" is there"),
        (
            "minute",
            "fortnight",
            "descriptors[0].rate_limit.unit: \"fortnight\"",
        ),
        (
            "unit: minute, ",
            "",
            "descriptors[0].rate_limit.unit: \"\" is no unit",
        ),
        (
            "unit: minute",
            "units: minute",
            "descriptors[0].rate_limit.units: unknown",
        ),
        (
            "unit: Day",
            "unit: unknown",
            "descriptors[1].descriptors[0].rate_limit.unit",
        ),
        (
            "value: 12",
            "value: 1.2",
            "descriptors[1].descriptors[0].value: 1.2",
        ),
        (
            "value: 12",
            "value: 18446744073709551615",
            "value: 18446744073709551615",
        ),
        ("value: 12", "value: [a]", "value[0].: \"a\" is no map"),
        ("rate_limit: ~", "rate_limit: [3]", "is no map"),
    ] {
        let text = RIGHT.replacen(from, to, 1);
        assert_ne!(text, RIGHT, "{from}");
        let refusal = refusal(&text);
        assert!(refusal.contains(wanted), "{from} -> {to}: {refusal}");
    }
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    for (from, to) in [
        ("requests_per_unit: 7", "requests_per_unit: -1"),
        ("requests_per_unit: 7", "requests_per_unit: 4294967296"),
        ("requests_per_unit: 7", "requests_per_unit: many"),
        ("shadow_mode: true", "shadow_mode: perhaps"),
        ("value: 12", "value: {unit: day}"),
        ("rate_limit: ~", "rate_limit: 3"),
        ("domain: shop", "domain: shop\ndomain: shop"),
        // Known, but not there.
        ("key: free", "key: free\n  unit: day"),
        ("domain: shop", "domain: shop\nkey: free"),
    ] {
        let text = RIGHT.replacen(from, to, 1);
        assert_ne!(text, RIGHT, "{from}");
        assert!(read(&text).is_err(), "{from} -> {to}");
    }
    for text in [
        "",
        "- domain: shop",
        "shop",
        "domain: [",
        "domain: shop\ndescriptors: [x]",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_left_out_is_nothing() {
    for text in [
        "domain: d",
        "domain: d\ndescriptors:",
        "domain: d\ndescriptors: []",
    ] {
        assert!(read(text).unwrap().root.children.is_empty(), "{text}");
    }
    let text = "domain: d\ndescriptors: [{key: k, value: '', rate_limit: {unit: day}}]";
    let limit = read(text).unwrap().root.children["k"].limit.unwrap();
    assert_eq!(limit.requests_per_unit, 0);
}
