//! Values of Envoy's dynamic metadata.

use std::borrow::Cow;

use btp_policy::spec;

/// A value of the dynamic metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataValue<'a> {
    /// Text.
    Text(Cow<'a, [u8]>),
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A list or a struct, in an encoding that gives equal bytes to equal values.
    Composite(Cow<'a, [u8]>),
    /// The host is not told whether it is this text or this number.
    TextOrNumber(Cow<'a, [u8]>, f64),
    /// The host is not told whether it is this text or this boolean.
    TextOrBoolean(Cow<'a, [u8]>, bool),
}

impl MetadataValue<'_> {
    /// Whether it is, or may be, the value that a policy requires. Numbers are equal if all
    /// their bits are.
    pub(crate) fn equals(&self, wanted: &spec::MetadataValue) -> bool {
        match (self, wanted) {
            (
                Self::Text(text) | Self::TextOrNumber(text, _) | Self::TextOrBoolean(text, _),
                spec::MetadataValue::Text(wanted),
            ) => **text == *wanted.as_bytes(),
            (
                Self::Number(number) | Self::TextOrNumber(_, number),
                spec::MetadataValue::Number(wanted),
            ) => number.to_bits() == wanted.to_bits(),
            (
                Self::Boolean(value) | Self::TextOrBoolean(_, value),
                spec::MetadataValue::Boolean(wanted),
            ) => value == wanted,
            _ => false,
        }
    }

    /// What tells it from other values in the key of a bucket. Buckets outlive this
    /// module, so that no other one may give other bytes. A number is
    /// written to `scalar` for it.
    pub(crate) fn key<'k>(&'k self, scalar: &'k mut [u8; 8]) -> &'k [u8] {
        match self {
            Self::Text(bytes)
            | Self::Composite(bytes)
            | Self::TextOrNumber(bytes, _)
            | Self::TextOrBoolean(bytes, _) => bytes,
            Self::Number(number) => {
                *scalar = number.to_le_bytes();
                scalar
            }
            Self::Boolean(true) => &[1],
            Self::Boolean(false) => &[0],
        }
    }
}

#[cfg(test)]
mod tests {
    use btp_policy::spec::MetadataValue as Wanted;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::MetadataValue::*;

    #[test]
    fn a_value_equals_one_of_its_type_only() {
        let text = |text: &str| Wanted::Text(text.to_owned());
        for (value, equal, unequal) in [
            (Text(b"3"[..].into()), text("3"), Wanted::Number(3.0)),
            (Number(3.0), Wanted::Number(3.0), text("3")),
            (Number(0.0), Wanted::Number(0.0), Wanted::Number(-0.0)),
            (Boolean(true), Wanted::Boolean(true), Wanted::Number(1.0)),
            (
                Boolean(false),
                Wanted::Boolean(false),
                Wanted::Boolean(true),
            ),
        ] {
            assert!(value.equals(&equal), "{value:?}");
            assert!(!value.equals(&unequal), "{value:?}");
        }
        assert!(!Composite(b"3"[..].into()).equals(&text("3")));
    }

    #[test]
    fn what_the_host_is_not_told_may_be_either() {
        let value = TextOrNumber(b"12345678"[..].into(), 1.5);
        assert!(value.equals(&Wanted::Text("12345678".to_owned())));
        assert!(value.equals(&Wanted::Number(1.5)));
        assert!(!value.equals(&Wanted::Number(2.5)));
        let value = TextOrBoolean(b"\x01"[..].into(), true);
        assert!(value.equals(&Wanted::Text("\x01".to_owned())));
        assert!(value.equals(&Wanted::Boolean(true)));
        assert!(!value.equals(&Wanted::Boolean(false)));
    }

    /// As they were when Envoy's encoding came this far.
    #[test]
    fn keys_are_the_bytes_of_the_encoding_on_each_host() {
        let three = [0, 0, 0, 0, 0, 0, 8, 0x40];
        for (value, key) in [
            (Text(b"gold"[..].into()), &b"gold"[..]),
            (Composite(b"\0\0\0\0"[..].into()), b"\0\0\0\0"),
            (Number(3.0), &three),
            (TextOrNumber(three[..].into(), 3.0), &three),
            (Boolean(true), &[1]),
            (TextOrBoolean(b"\0"[..].into(), false), &[0]),
        ] {
            assert_eq!(*value.key(&mut [0; 8]), *key, "{value:?}");
        }
    }
}
