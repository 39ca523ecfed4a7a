//! A value of the wrong kind, and its correct form: `"50%"` in place of a number, a number
//! in place of text.

use super::mistaken::is_bare;
use crate::node::Value;

/// `reason`, and what to write instead of `value`.
pub(super) fn with_advice(reason: String, wanted: &str, value: &Value) -> String {
    match advice(wanted, value) {
        Some(advice) => format!("{reason}; {advice}"),
        None => reason,
    }
}

/// The correct form of `value` where `wanted` is expected, if it is certain.
fn advice(wanted: &str, value: &Value) -> Option<String> {
    match wanted {
        "a number" => number(value, true),
        "a whole number" => number(value, false),
        "true or false" => boolean(value),
        "a string" if is_bare(value) => Some("write it in quotes".to_owned()),
        _ => None,
    }
}

/// A number in quotes, with a percent sign, or as `value` of an object.
fn number(value: &Value, may_be_fraction: bool) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Map(entries) => {
            let [entry] = entries.as_slice() else {
                return None;
            };
            let is_number = match entry.node.value {
                Value::Int(_) => true,
                Value::Float(_) => may_be_fraction,
                _ => false,
            };
            let is_right = entry.key == "value" && is_number;
            return is_right.then(|| format!("write {}", entry.node.value.excerpt()));
        }
        _ => return None,
    };
    let number = text.trim().trim_end_matches('%').trim_end();
    let digits = |part: &str| {
        (1..=15).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_number = match number.split_once('.') {
        Some((whole, fraction)) => may_be_fraction && digits(whole) && digits(fraction),
        None => digits(number),
    };
    is_number.then(|| format!("write {number}"))
}

/// What YAML 1.1 took for a boolean, and booleans in quotes.
fn boolean(value: &Value) -> Option<String> {
    let Value::String(text) = value else {
        return None;
    };
    let is = |words: [&str; 3]| words.iter().any(|it| text.eq_ignore_ascii_case(it));
    if is(["true", "yes", "on"]) {
        Some("write true".to_owned())
    } else if is(["false", "no", "off"]) {
        Some("write false".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn says_what_is_right_only_where_that_is_sure() {
        for (wanted, text, right) in [
            ("a number", r#""50%""#, Some("write 50")),
            ("a number", r#""0.5 %""#, Some("write 0.5")),
            ("a number", r#"{"value":0.1}"#, Some("write 0.1")),
            ("a number", r#"{"value":5}"#, Some("write 5")),
            ("a number", r#"{"numerator":5}"#, None),
            ("a number", r#""half""#, None),
            ("a number", r#""""#, None),
            ("a number", r#""%""#, None),
            ("a number", "true", None),
            ("a whole number", r#""503""#, Some("write 503")),
            ("a whole number", r#""20%""#, Some("write 20")),
            ("a whole number", r#""0.5""#, None),
            ("a whole number", r#"{"value":0.5}"#, None),
            ("true or false", r#""yes""#, Some("write true")),
            ("true or false", r#""False""#, Some("write false")),
            ("true or false", r#""maybe""#, None),
            ("true or false", "1", None),
            ("a string", "5", Some("write it in quotes")),
            ("a string", "[5]", None),
            ("a list", "5", None),
        ] {
            let value = json::parse(text.as_bytes()).unwrap().value;
            assert_eq!(advice(wanted, &value).as_deref(), right, "{wanted}: {text}");
        }
    }
}
