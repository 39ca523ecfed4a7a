//! Conditions on Envoy's dynamic metadata, such as what a filter before this
//! one has found in a token. An extension.

use super::OnMissing;
use crate::code::Code;
use crate::node::Value;
use crate::problem::Problems;
use crate::read::Cursor;

/// A condition on one value of the dynamic metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataCondition {
    /// Its path: the namespace, then one key for each level.
    pub path: Vec<String>,
    /// What it must be.
    pub condition: MetadataMatch,
}

/// What a value of the dynamic metadata must be.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataMatch {
    /// It equals this.
    Exact {
        /// The value.
        value: MetadataValue,
        /// The condition holds if it does not equal, or is absent.
        invert: bool,
    },
    /// Each value counts on its own. It is there, unless a request without it is meant, too.
    Distinct(OnMissing),
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
    /// The key of the filter state under which a dynamic module finds `{"value": …}` of a
    /// namespace's key, as Envoy hands it no nested values.
    #[must_use]
    pub fn state_key(namespace: &str, key: &str) -> String {
        format!("btp.metadata.{namespace}:{key}")
    }

    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::METADATA, problems)?;
        let is_distinct = object.or_default("type", problems, |at, problems| {
            at.choice(&[("Exact", false), ("Distinct", true)], problems)
        });
        let namespace = object.required("namespace", problems);
        let namespace = namespace.and_then(|at| read_key(at, problems));
        let keys = object.required("path", problems);
        let keys = keys.and_then(|at| read_keys(at, problems));
        let is_distinct = is_distinct?;
        let path = namespace.zip(keys).map(|(namespace, mut keys)| {
            keys.insert(0, namespace);
            keys
        });
        if is_distinct {
            for field in ["value", "invert"] {
                if let Some(at) = object.get(field) {
                    at.refuse(
                        problems,
                        Code::FieldOfType,
                        "must be left out: type Distinct matches every value",
                    );
                }
            }
            return Some(Self {
                path: path?,
                condition: MetadataMatch::Distinct(OnMissing::read(&object, problems)?),
            });
        }
        OnMissing::refuse(&object, problems);
        let invert = object.or_default("invert", problems, Cursor::boolean);
        let value = MetadataValue::read(object.required("value", problems)?, problems)?;
        Some(Self {
            path: path?,
            condition: MetadataMatch::Exact {
                value,
                invert: invert?,
            },
        })
    }
}

impl MetadataMatch {
    /// Whether each value counts on its own.
    #[must_use]
    pub const fn is_distinct(&self) -> bool {
        matches!(self, Self::Distinct(_))
    }
}

fn read_keys(at: Cursor<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if let Value::String(_) = at.node.value {
        let reason = "must be a list of keys, one for each level, such as [claims, sub]";
        at.refuse(problems, Code::WrongType, reason);
        return None;
    }
    at.list(1..=16, problems, read_key)
}

/// Envoy takes the keys of a path separated by zero bytes, so no key can contain one.
fn read_key(at: Cursor<'_>, problems: &mut Problems) -> Option<String> {
    let key = at.string_of(1..=256, problems)?;
    if key.contains('\0') {
        at.refuse(
            problems,
            Code::MalformedMetadataKey,
            "must not hold a zero byte",
        );
        return None;
    }
    Some(key.to_owned())
}

impl MetadataValue {
    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        match &at.node.value {
            Value::Bool(value) => Some(Self::Boolean(*value)),
            Value::Int(number) => Some(Self::Number(*number as f64)),
            Value::Float(number) => Some(Self::Number(*number)),
            Value::String(_) => {
                let text = at.string_of(1..=1024, problems)?;
                Some(Self::Text(text.to_owned()))
            }
            _ => {
                at.refuse(
                    problems,
                    Code::WrongType,
                    "must be a string, a number or a boolean",
                );
                None
            }
        }
    }
}
