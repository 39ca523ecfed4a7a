//! What the types of several native fields are made of.

use serde::Deserialize;

use crate::scalar::Quantity;

macro_rules! api {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        #[expect(missing_docs, reason = "the fields are named as in the API")]
        pub struct $name {
            $(pub $field: $type,)*
        }
    };
}

pub(super) use api;

/// `numerator` out of `denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are named as in the API")]
pub struct Fraction {
    pub numerator: u64,
    #[serde(default = "hundred")]
    pub denominator: u64,
}

fn hundred() -> u64 {
    100
}

/// An object without settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl<'de> Deserialize<'de> for crate::scalar::Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("is no duration");
        Self::parse(&text).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self::new(number)),
            Written::Text(text) => {
                let wrong = || serde::de::Error::custom("is no quantity");
                Self::parse(&text).ok_or_else(wrong)
            }
        }
    }
}
