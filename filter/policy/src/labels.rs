//! Labels and the selectors that pick objects by them.
//!
//! Source: Kubernetes' `LabelSelector`.

pub(crate) mod schema;

use std::collections::BTreeMap;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::{Cursor, Object};

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Which labels an object must have. No requirement: every object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Reads `matchLabels` and `matchExpressions` of an object.
    pub(crate) fn read(object: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        let labels = object.or_default("matchLabels", problems, read_labels)?;
        let expressions = object.or_default("matchExpressions", problems, |at, problems| {
            at.list(0..=usize::MAX, problems, Requirement::read)
        })?;
        let of_label = |(key, value)| Requirement {
            key,
            operator: Operator::In(vec![value]),
        };
        let requirements = labels.into_iter().map(of_label).chain(expressions);
        Some(Self {
            requirements: requirements.collect(),
        })
    }

    /// Whether `label` gives every key a matching value.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = label(&requirement.key);
            let is_one_of = |values: &[String]| {
                value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
            };
            match &requirement.operator {
                Operator::In(values) => is_one_of(values),
                Operator::NotIn(values) => !is_one_of(values),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}

impl Requirement {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        #[derive(Clone, Copy, PartialEq)]
        enum Kind {
            In,
            NotIn,
            Exists,
            DoesNotExist,
        }
        let kinds = [
            ("In", Kind::In),
            ("NotIn", Kind::NotIn),
            ("Exists", Kind::Exists),
            ("DoesNotExist", Kind::DoesNotExist),
        ];
        let object = at.object_of(&schema::EXPRESSION, problems)?;
        let key = object
            .required("key", problems)
            .and_then(|at| at.string_of(1..=317, problems));
        let kind = object
            .required("operator", problems)?
            .choice(&kinds, problems)?;
        let values = object.or_default("values", problems, |at, problems| {
            at.list(0..=usize::MAX, problems, |at, problems| {
                at.string(problems).map(str::to_owned)
            })
        })?;
        let takes_values = matches!(kind, Kind::In | Kind::NotIn);
        if takes_values == values.is_empty() {
            let reason = if takes_values {
                "must have values"
            } else {
                "must not have values"
            };
            at.refuse(problems, Code::SelectorValues, reason);
        }
        Some(Self {
            key: key?.to_owned(),
            operator: match kind {
                Kind::In => Operator::In(values),
                Kind::NotIn => Operator::NotIn(values),
                Kind::Exists => Operator::Exists,
                Kind::DoesNotExist => Operator::DoesNotExist,
            },
        })
    }
}

/// Reads an object of labels.
pub fn read_labels(at: Cursor<'_>, problems: &mut Problems) -> Option<Labels> {
    let object = at.open_object(problems)?;
    let mut labels = Labels::new();
    for (key, at) in object.fields() {
        if let Some(value) = at.string(problems) {
            labels.insert(key.to_owned(), value.to_owned());
        }
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn selector(text: &str) -> Result<LabelSelector, Vec<String>> {
        let node = json::parse(text.as_bytes()).unwrap();
        let mut problems = Problems::default();
        let object = Cursor::root(&node).open_object(&mut problems).unwrap();
        let selector = LabelSelector::read(&object, &mut problems);
        let found = problems.into_vec();
        if found.is_empty() {
            Ok(selector.unwrap())
        } else {
            Err(found.iter().map(ToString::to_string).collect())
        }
    }

    #[test]
    fn every_operator() {
        let has = |name: &str| match name {
            "app" => Some("shop"),
            "tier" => Some("gold"),
            _ => None,
        };
        for (text, wanted) in [
            ("{}", true),
            (r#"{"matchLabels":{"app":"shop"}}"#, true),
            (r#"{"matchLabels":{"app":"shop","tier":"tin"}}"#, false),
            (r#"{"matchLabels":{"zone":"a"}}"#, false),
            (
                r#"{"matchExpressions":[{"key":"app","operator":"In","values":["x","shop"]}]}"#,
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["a"]}]}"#,
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"app","operator":"NotIn","values":["shop"]}]}"#,
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"app","operator":"Exists"}]}"#,
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"app","operator":"DoesNotExist"}]}"#,
                false,
            ),
        ] {
            assert_eq!(selector(text).unwrap().matches(has), wanted, "{text}");
        }
    }

    #[test]
    fn values_stand_where_they_mean_something() {
        let exists = r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]}"#;
        assert!(selector(exists).unwrap_err()[0].contains("must not have values"));
        let within = r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#;
        assert!(selector(within).unwrap_err()[0].contains("must have values"));
    }
}
