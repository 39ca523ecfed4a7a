//! Merging documents, and what holds of it whatever they say.

use proptest::prelude::*;

use super::*;
use crate::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn node(text: &str) -> Node {
    json::parse(text.as_bytes()).unwrap()
}

fn merged(parent: &str, child: &str, how: MergeType) -> serde_json::Value {
    serde_json::to_value(merge(&node(parent), &node(child), how)).unwrap()
}

fn value(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

const BOTH: [MergeType; 2] = [MergeType::Strategic, MergeType::Json];

#[test]
fn objects_merge_deeply_and_the_child_wins() {
    let parent = r#"{"faultInjection":{"delay":{"fixedDelay":"1s","percentage":5}},"retry":{}}"#;
    let child = r#"{"faultInjection":{"delay":{"percentage":7},"abort":{"httpStatus":503}}}"#;
    for how in BOTH {
        assert_eq!(
            merged(parent, child, how),
            value(
                r#"{"faultInjection":{"delay":{"fixedDelay":"1s","percentage":7},
                    "abort":{"httpStatus":503}},"retry":{}}"#
            )
        );
    }
}

#[test]
fn null_deletes_nothing() {
    for how in BOTH {
        assert_eq!(
            merged(r#"{"retry":{"numRetries":3}}"#, r#"{"retry":null}"#, how),
            value(r#"{"retry":{"numRetries":3}}"#)
        );
    }
}

#[test]
fn targets_are_not_inherited() {
    for how in BOTH {
        assert_eq!(
            merged(r#"{"targetRefs":[{}],"mergeType":"x"}"#, "{}", how),
            value("{}")
        );
    }
}

#[test]
fn lists_are_replaced_but_for_three_in_a_strategic_merge() {
    let parent = r#"{"httpUpgrade":[{"type":"websocket"},{"type":"CONNECT"}],
                     "responseOverride":[{"a":1}]}"#;
    let child = r#"{"httpUpgrade":[{"type":"h2c"},{"type":"CONNECT","connect":{}}],
                    "responseOverride":[{"b":1}]}"#;
    assert_eq!(merged(parent, child, MergeType::Json), value(child));
    assert_eq!(
        merged(parent, child, MergeType::Strategic),
        value(
            r#"{"httpUpgrade":[{"type":"h2c"},{"type":"CONNECT","connect":{}},
                               {"type":"websocket"}],
                "responseOverride":[{"b":1}]}"#
        )
    );
}

/// Specs made of the fields that merge in different ways.
#[test]
fn the_parents_default_rule_counts_if_the_child_has_no_rules() {
    use crate::PluginConfig;
    let default = r#"{"limit":{"requests":1,"unit":"Hour"}}"#;
    let conditional =
        r#"{"clientSelectors":[{"path":{"value":"/x"}}],"limit":{"requests":2,"unit":"Hour"}}"#;
    let parent = format!(r#"{{"rules":[{default},{conditional}]}}"#);
    let own = format!(r#"{{"rules":[{conditional}]}}"#);
    for (child, how, requests) in [
        (r#"{"retryAfter":false}"#, "StrategicMerge", vec![1, 2]),
        (r#"{"retryAfter":false}"#, "JSONMerge", vec![1, 2]),
        (r#"{"disabled":true}"#, "StrategicMerge", vec![1, 2]),
        (&own, "StrategicMerge", vec![2, 2]),
        (&own, "JSONMerge", vec![2]),
    ] {
        let policy = |name: &str, kind: &str, local: &str, more: &str| {
            format!(
                r#"{{"metadata":{{"name":"{name}"}},"spec":{{{more}"rateLimit":{{"local":{local}}},
                "targetRefs":[{{"group":"gateway.networking.k8s.io","kind":"{kind}","name":"{name}"}}]}}}}"#
            )
        };
        let more = format!(r#""mergeType":"{how}","#);
        let (parent, child) = (
            policy("eg", "Gateway", &parent, ""),
            policy("shop", "HTTPRoute", child, &more),
        );
        let text = format!(r#"{{"policies":[{parent},{child}]}}"#);
        let config = PluginConfig::parse(text.as_bytes()).unwrap();
        let rules = config.policies.iter().find(|it| it.name.name == "shop");
        let rules = rules.unwrap().spec.rate_limit.clone().unwrap();
        let rules = rules.local.unwrap().rules;
        let found: Vec<u32> = rules
            .iter()
            .map(|rule| rule.limit.unwrap().requests)
            .collect();
        assert_eq!(found, requests, "{child} {how}");
    }
}

fn specs() -> impl Strategy<Value = Node> {
    // A field has the same type everywhere, as in documents that were read.
    let fields = |inner: BoxedStrategy<Option<serde_json::Value>>| {
        let scalar = proptest::option::of(0..5_i64);
        let list = proptest::option::of(proptest::collection::vec(0..5_i64, 0..2));
        (inner, scalar, list).prop_map(|(object, scalar, list)| {
            let mut map = serde_json::Map::new();
            map.extend(object.map(|object| ("object".to_owned(), object)));
            map.extend(scalar.map(|scalar| ("scalar".to_owned(), scalar.into())));
            map.extend(list.map(|list| ("list".to_owned(), list.into())));
            serde_json::Value::Object(map)
        })
    };
    let flat = fields(Just(None).boxed());
    let object = fields(proptest::option::of(flat).boxed());
    let item = |kind: &'static str| {
        proptest::option::of(0..3_i64).prop_map(
            move |size| serde_json::json!({ "type": kind, "minContentLength": size.unwrap_or(9) }),
        )
    };
    let list = proptest::sample::subsequence(vec!["Gzip", "Brotli", "Zstd"], 0..3)
        .prop_flat_map(move |kinds| kinds.into_iter().map(item).collect::<Vec<_>>());
    let fields = (
        proptest::option::of(object),
        proptest::option::of(list.prop_map(serde_json::Value::from)),
    );
    fields.prop_map(|(object, list)| {
        let mut spec = serde_json::Map::new();
        spec.extend(object.map(|object| ("retry".to_owned(), object)));
        spec.extend(list.map(|list| ("compressor".to_owned(), list)));
        json::parse(serde_json::Value::from(spec).to_string().as_bytes()).unwrap()
    })
}

/// Order of fields means nothing.
fn canonical(node: &Node) -> serde_json::Value {
    serde_json::to_value(node).unwrap()
}

proptest! {
    #[test]
    fn merging_with_oneself_changes_nothing(spec in specs()) {
        for how in BOTH {
            prop_assert_eq!(canonical(&merge(&spec, &spec, how)), canonical(&spec));
        }
    }

    #[test]
    fn merging_twice_is_merging_once(parent in specs(), child in specs()) {
        for how in BOTH {
            let once = merge(&parent, &child, how);
            prop_assert_eq!(canonical(&merge(&parent, &once, how)), canonical(&once));
        }
    }

    #[test]
    fn it_does_not_matter_where_one_begins(
        oldest in specs(), middle in specs(), youngest in specs(),
    ) {
        for how in BOTH {
            let from_the_top = merge(&merge(&oldest, &middle, how), &youngest, how);
            let from_below = merge(&oldest, &merge(&middle, &youngest, how), how);
            prop_assert_eq!(canonical(&from_the_top), canonical(&from_below));
        }
    }
}
