//! The identity of a rule: its name, or a hash of its conditions.
//!
//! Buckets and metrics must outlive an update of the configuration in which rules change
//! places and limits. The order of an object's keys does not count. A name contains no dot,
//! so a dot separates these hashes from names.

use crate::hash::fnv1a;
use crate::node::{Node, Value};

/// The identity of an unnamed rule with these conditions.
pub(super) fn of(conditions: Option<&Node>) -> String {
    match conditions.map(|node| hash(&node.value)) {
        None => format!(".{DEFAULT}"),
        Some(hash) => format!(".{hash:016x}"),
    }
}

/// That of a rule without conditions.
const DEFAULT: &str = "default";

/// Tells rules of one policy with the same conditions apart: this is the first, the
/// second, … of them.
pub(super) fn tell_apart(identity: &mut String, nth: usize) {
    if nth > 1 {
        identity.push_str(&format!(".{nth}"));
    }
}

/// What metrics, headers and logs call the rule: its name, or `rule-` and the first
/// eight hex digits of the hash. The second with the same conditions ends in `-2`.
pub(super) fn label(identity: &str) -> String {
    let Some(unnamed) = identity.strip_prefix('.') else {
        return identity.to_owned();
    };
    let (hash, twin) = match unnamed.split_once('.') {
        Some((hash, nth)) => (hash, format!("-{nth}")),
        None => (unnamed, String::new()),
    };
    let of_default = format!("{:016x}", self::hash(&Value::Null));
    let hash = if hash == DEFAULT { &of_default } else { hash };
    format!("rule-{hash:.8}{twin}")
}

fn hash(value: &Value) -> u64 {
    match value {
        Value::Null => fnv1a(0, b""),
        Value::Bool(value) => fnv1a(1, &[u8::from(*value)]),
        Value::Int(number) => fnv1a(2, &number.to_le_bytes()),
        Value::Float(number) => fnv1a(3, &number.to_bits().to_le_bytes()),
        Value::String(text) => fnv1a(4, text.as_bytes()),
        Value::List(items) => items.iter().fold(fnv1a(5, b""), |list, item| {
            fnv1a(list, &hash(&item.value).to_le_bytes())
        }),
        Value::Map(entries) => entries.iter().fold(fnv1a(6, b""), |sum, entry| {
            let key = fnv1a(7, entry.key.as_bytes());
            sum.wrapping_add(fnv1a(key, &hash(&entry.node.value).to_le_bytes()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{label, of, tell_apart};
    use crate::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn identity(text: &str) -> String {
        of(Some(&json::parse(text.as_bytes()).unwrap()))
    }

    #[test]
    fn selectors_tell_rules_apart_and_the_order_of_keys_does_not() {
        let one = identity(r#"[{"headers":[{"name":"a","value":"1"}]}]"#);
        let same = identity(r#"[{"headers":[{"value":"1","name":"a"}]}]"#);
        let other = identity(r#"[{"headers":[{"name":"a","value":"2"}]}]"#);
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(identity(r#"["a","b"]"#), identity(r#"["b","a"]"#));
        assert_eq!(of(None), ".default");
    }

    /// Dashboards go by them.
    #[test]
    fn labels_stay_what_they_are() {
        let labelled = |identity: &str, nth| {
            let mut identity = identity.to_owned();
            tell_apart(&mut identity, nth);
            label(&identity)
        };
        for (identity, nth, wanted) in [
            ("per-user", 1, "per-user"),
            (".7d3e0de34d13b41c", 1, "rule-7d3e0de3"),
            (".7d3e0de34d13b41c", 2, "rule-7d3e0de3-2"),
            (".default", 1, "rule-af63bd4c"),
            (".default", 2, "rule-af63bd4c-2"),
        ] {
            assert_eq!(labelled(identity, nth), wanted);
        }
    }

    /// Buckets outlive an update of the filter, too: a field that is left out is as if it
    /// did not exist.
    #[test]
    fn identities_stay_what_they_are() {
        for (selectors, wanted) in [
            (
                r#"[{"sourceCIDR":{"type":"Distinct","value":"::/0"}}]"#,
                ".7d3e0de34d13b41c",
            ),
            (
                r#"[{"sourceCIDR":{"type":"Distinct","value":"::/0","prefixLength":64}}]"#,
                ".da6201a18c971ce4",
            ),
            (
                r#"[{"headers":[{"name":"a","type":"Distinct"}]}]"#,
                ".d26b0ef12ead6e73",
            ),
        ] {
            assert_eq!(identity(selectors), wanted, "{selectors}");
        }
    }
}
