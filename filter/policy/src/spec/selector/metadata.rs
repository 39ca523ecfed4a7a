//! Conditions on Envoy's dynamic metadata, such as what a filter before this
//! one has found in a token. An extension.

use super::read_flag;
use crate::node::Value;
use crate::problem::Problems;
use crate::read::At;

/// A condition on one value of the dynamic metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataCondition {
    /// Where it stands: the namespace, then one key for each level.
    pub path: Vec<String>,
    /// What it must equal, and whether the condition holds if it does not
    /// (or is absent); `None`: it is there, and each value counts on its own.
    pub condition: Option<(MetadataValue, bool)>,
}

/// A value of the dynamic metadata.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum MetadataValue {
    Text(String),
    Number(f64),
    Boolean(bool),
}

impl MetadataCondition {
    pub(super) fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let known = ["type", "namespace", "path", "value", "invert"];
        let object = at.object(&known, problems)?;
        let is_distinct = match object.get("type") {
            Some(at) => at.choice(&[("Exact", false), ("Distinct", true)], problems)?,
            None => false,
        };
        let namespace = object.required("namespace", problems)?;
        let mut path = vec![namespace.string_of(1..=256, problems)?.to_owned()];
        let keys = object.required("path", problems)?;
        if let Value::String(_) = keys.node.value {
            let reason = "must be a list of keys, one for each level, such as [claims, sub]";
            keys.refuse(problems, reason);
            return None;
        }
        path.extend(keys.list(1..=16, problems, |at, problems| {
            at.string_of(1..=256, problems).map(str::to_owned)
        })?);
        if is_distinct {
            for field in ["value", "invert"] {
                if let Some(at) = object.get(field) {
                    at.refuse(
                        problems,
                        "must be left out: type Distinct takes every value",
                    );
                }
            }
            return Some(Self {
                path,
                condition: None,
            });
        }
        let invert = read_flag(object.get("invert"), problems)?;
        let value = MetadataValue::read(object.required("value", problems)?, problems)?;
        Some(Self {
            path,
            condition: Some((value, invert)),
        })
    }
}

impl MetadataValue {
    fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        match &at.node.value {
            Value::Bool(value) => Some(Self::Boolean(*value)),
            Value::Int(number) => Some(Self::Number(*number as f64)),
            Value::Float(number) => Some(Self::Number(*number)),
            Value::String(_) => {
                let text = at.string_of(0..=1024, problems)?;
                Some(Self::Text(text.to_owned()))
            }
            _ => {
                at.refuse(problems, "must be a string, a number or a boolean");
                None
            }
        }
    }
}
