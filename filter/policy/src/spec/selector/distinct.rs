//! How `Distinct` tells values apart, and how it treats requests without a value:
//! `prefixLength` and `onMissing`. Extensions.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Object;
use crate::scalar::Cidr;

/// `onMissing`: what becomes of a request that has no value to count by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// The rule does not count it.
    #[default]
    Exempt,
    /// The rule counts it, and all such requests share one bucket.
    Limit,
    /// It is refused.
    Refuse,
}

/// The `prefixLength` of whole addresses, of either family.
pub const WHOLE_ADDRESS: u8 = 128;

impl OnMissing {
    /// Reads it beside type `Distinct`.
    pub(super) fn read(object: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        let choices = [
            ("Exempt", Self::Exempt),
            ("Limit", Self::Limit),
            ("Refuse", Self::Refuse),
        ];
        object.or_default("onMissing", problems, |at, problems| {
            at.choice(&choices, problems)
        })
    }

    /// Refuses it beside another type.
    pub(super) fn refuse(object: &Object<'_>, problems: &mut Problems) {
        refuse_without_distinct(object, "onMissing", problems);
    }
}

/// Reads the `prefixLength` of a range whose addresses count apart: how many bits tell one
/// client from another.
pub(super) fn read_prefix_length(
    object: &Object<'_>,
    range: Cidr,
    invert: bool,
    problems: &mut Problems,
) -> Option<u8> {
    let Some(at) = object.get("prefixLength") else {
        return Some(WHOLE_ADDRESS);
    };
    let length = at.integer(0..=range.width().into(), problems)?;
    let length = u8::try_from(length).ok()?;
    if invert {
        at.refuse(
            problems,
            Code::ExcludedField,
            "must be left out beside invert: addresses outside the range are of both families, \
             and one length does not fit both",
        );
        return None;
    }
    if length < range.prefix() {
        let reason = format!(
            "must not be less than {}: all addresses of {range} share that many bits, so fewer do \
             not tell clients apart (type Exact counts the range as one)",
            range.prefix()
        );
        at.refuse(problems, Code::OutOfBounds, reason);
        return None;
    }
    // The whole address is what counts without the field.
    let is_whole = length == range.width();
    Some(if is_whole { WHOLE_ADDRESS } else { length })
}

/// Refuses a field of type `Distinct` beside another type.
pub(super) fn refuse_without_distinct(object: &Object<'_>, field: &str, problems: &mut Problems) {
    if let Some(at) = object.get(field) {
        at.refuse(
            problems,
            Code::FieldOfType,
            "must be left out: only type Distinct counts by value",
        );
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::{OnMissing, WHOLE_ADDRESS};
    use crate::spec::tests::rules;
    use crate::spec::{MetadataMatch, Selector, ValueCondition};

    fn selector(items: &str) -> Result<Selector, Vec<String>> {
        let read = rules(&format!(
            r#"{{"clientSelectors":[{items}],"concurrency":{{"max":1}}}}"#
        ));
        Ok(read?.remove(0).selector)
    }

    fn prefix(source: &str) -> Result<Option<u8>, Vec<String>> {
        let read = selector(&format!(r#"{{"sourceCIDR":{{{source}}}}}"#));
        Ok(read?.sources[0].distinct)
    }

    #[test]
    fn addresses_count_whole_or_by_prefix() {
        for (source, wanted) in [
            (r#""value":"::/0""#, None),
            (r#""value":"::/0","type":"Distinct""#, Some(WHOLE_ADDRESS)),
            (
                r#""value":"::/0","type":"Distinct","prefixLength":64"#,
                Some(64),
            ),
            (
                r#""value":"::/0","type":"Distinct","prefixLength":0"#,
                Some(0),
            ),
            (
                r#""value":"::/0","type":"Distinct","prefixLength":128"#,
                Some(WHOLE_ADDRESS),
            ),
            (
                r#""value":"10.0.0.0/8","type":"Distinct","prefixLength":8"#,
                Some(8),
            ),
            (
                r#""value":"10.0.0.0/8","type":"Distinct","prefixLength":32"#,
                Some(WHOLE_ADDRESS),
            ),
            (
                r#""value":"10.0.0.0/8","type":"Distinct","invert":true"#,
                Some(WHOLE_ADDRESS),
            ),
        ] {
            assert_eq!(prefix(source).unwrap(), wanted, "{source}");
        }
    }

    #[test]
    fn a_prefix_length_that_means_nothing_is_refused() {
        for (source, wanted) in [
            (
                r#""value":"10.0.0.0/8","prefixLength":24"#,
                "must be left out: only type Distinct",
            ),
            (
                r#""value":"10.0.0.0/8","type":"Distinct","prefixLength":33"#,
                "must be between 0 and 32",
            ),
            (
                r#""value":"::/0","type":"Distinct","prefixLength":129"#,
                "must be between 0 and 128",
            ),
            (
                r#""value":"::/0","type":"Distinct","prefixLength":-1"#,
                "must be between 0 and 128",
            ),
            (
                r#""value":"::/0","type":"Distinct","prefixLength":"64""#,
                "must be a",
            ),
            (
                r#""value":"2001:db8::/32","type":"Distinct","prefixLength":31"#,
                "must not be less than 32: all addresses of 2001:db8::/32 share that many bits",
            ),
            (
                r#""value":"10.0.0.0/8","type":"Distinct","invert":true,"prefixLength":24"#,
                "must be left out beside invert",
            ),
        ] {
            let found = prefix(source).expect_err(source);
            let hit =
                |it: &&String| it.contains("sourceCIDR.prefixLength: ") && it.contains(wanted);
            assert_eq!(found.iter().filter(hit).count(), 1, "{source}: {found:?}");
        }
    }

    #[test]
    fn each_key_says_what_becomes_of_requests_without_it() {
        for (more, wanted) in [
            ("", OnMissing::Exempt),
            (r#","onMissing":"Exempt""#, OnMissing::Exempt),
            (r#","onMissing":"Limit""#, OnMissing::Limit),
            (r#","onMissing":"Refuse""#, OnMissing::Refuse),
        ] {
            let read = selector(&format!(
                r#"{{"headers":[{{"name":"a","type":"Distinct"{more}}}],
                    "queryParams":[{{"name":"b","type":"Distinct"{more}}}],
                    "metadata":[{{"namespace":"n","path":["c"],"type":"Distinct"{more}}}]}}"#
            ))
            .unwrap();
            assert_eq!(read.headers[0].condition, ValueCondition::Distinct(wanted));
            let param = &read.query_params[0].condition;
            assert_eq!(*param, ValueCondition::Distinct(wanted));
            assert_eq!(read.metadata[0].condition, MetadataMatch::Distinct(wanted));
        }
    }

    #[test]
    fn what_has_no_key_has_none_that_is_missing() {
        for (condition, wanted) in [
            (
                r#"{"headers":[{"name":"a","value":"1","onMissing":"Limit"}]}"#,
                "headers[0].onMissing: must be left out",
            ),
            (
                r#"{"queryParams":[{"name":"a","type":"RegularExpression","value":"1","onMissing":"Refuse"}]}"#,
                "queryParams[0].onMissing: must be left out",
            ),
            (
                r#"{"metadata":[{"namespace":"n","path":["a"],"value":1,"onMissing":"Exempt"}]}"#,
                "metadata[0].onMissing: must be left out",
            ),
            (
                r#"{"headers":[{"name":"a","type":"Distinct","invert":true,"onMissing":"Limit"}]}"#,
                "headers[0].invert: must be left out",
            ),
            (
                r#"{"headers":[{"name":"a","type":"Distinct","onMissing":"Reject"}]}"#,
                "headers[0].onMissing: must be one of Exempt, Limit, Refuse",
            ),
            (
                r#"{"sourceCIDR":{"value":"::/0","type":"Distinct","onMissing":"Limit"}}"#,
                "sourceCIDR.onMissing: is not a known field",
            ),
        ] {
            let found = selector(condition).expect_err(condition);
            assert!(found.iter().any(|it| it.contains(wanted)), "{found:?}");
        }
    }
}
