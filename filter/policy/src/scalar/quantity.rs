//! Quantities in the API's narrow form: `10`, `4Ki`, `1M`.

use std::fmt;

#[cfg(feature = "schema")]
use super::units;
use crate::code::Code;
use crate::node::Value;
use crate::problem::Problems;
use crate::read::Cursor;

/// An amount, usually of bytes. Zero can be written as a bare number only,
/// and most readers refuse it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(u64);

const SUFFIXES: [(&str, u64); 12] = [
    ("Ei", 1 << 60),
    ("Pi", 1 << 50),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("E", 1_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
];

impl Quantity {
    /// How other spellings are told what is meant.
    #[cfg(feature = "schema")]
    pub(super) const API: units::Quantities = units::Quantities {
        parse: |text| Self::parse(text).map(Self::get),
        print: |amount| Self(amount).to_string(),
    };

    /// This amount.
    #[must_use]
    pub const fn new(amount: u64) -> Self {
        Self(amount)
    }

    /// The amount.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The quantity that `text` stands for, or `None` if it is malformed or
    /// does not fit in 63 bits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let found = SUFFIXES.iter().find_map(|(suffix, scale)| {
            let digits = text.strip_suffix(suffix)?;
            Some((digits, *scale))
        });
        let (digits, scale) = found.unwrap_or((text, 1));
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || digits.starts_with('0') {
            return None;
        }
        let amount = digits.parse::<u64>().ok()?.checked_mul(scale)?;
        i64::try_from(amount).ok().map(|_| Self(amount))
    }

    /// Reads a quantity: a string, or a whole number from zero.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let quantity = match &at.node.value {
            Value::Int(number) => u64::try_from(*number).ok().map(Self),
            Value::String(text) => Self::parse(text),
            _ => None,
        };
        if quantity.is_none() {
            let reason = "must be a quantity such as 500, 64Ki or 10M \
                 (suffixes k M G T P E, Ki Mi Gi Ti Pi Ei; no fractions)";
            #[cfg(feature = "schema")]
            let reason = units::with_meant(
                reason,
                &units::suggested_quantities(&at.node.value, Self::API),
            );
            at.refuse(problems, Code::MalformedQuantity, reason);
        }
        quantity
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let even = |(_, scale): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*scale);
        match SUFFIXES.iter().find(even) {
            Some((suffix, scale)) => write!(formatter, "{}{suffix}", self.0 / scale),
            None => write!(formatter, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn reads_the_narrow_form_only() {
        let parse = |text| Quantity::parse(text).map(Quantity::get);
        assert_eq!(parse("1"), Some(1));
        assert_eq!(parse("64Ki"), Some(65_536));
        assert_eq!(parse("10M"), Some(10_000_000));
        for text in [
            "", "0", "01", "1m", "1.5Mi", "1K", "-1", "Ki", "16Ei", "1 Ki",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(amount in 1_u64..=i64::MAX as u64) {
            let quantity = Quantity(amount);
            prop_assert_eq!(Quantity::parse(&quantity.to_string()), Some(quantity));
        }
    }
}
