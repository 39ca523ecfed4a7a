//! Values of the dynamic metadata, as Envoy hands them over: text as it is, a number
//! as the eight bytes of a little-endian double, a boolean as one byte, a list or a
//! struct as a pairs block.
//!
//! Their types do not come along. So a text of eight bytes may as well be a number,
//! and one of the byte 0 or 1 a boolean: a condition is met by either.

use std::borrow::Cow;

use btp_engine::MetadataValue;

use crate::pairs;

/// The value that these bytes stand for.
pub(crate) fn value(bytes: Vec<u8>) -> MetadataValue<'static> {
    if let Ok(number) = <[u8; 8]>::try_from(&*bytes) {
        let number = f64::from_le_bytes(number);
        return MetadataValue::TextOrNumber(Cow::Owned(bytes), number);
    }
    if let [byte @ (0 | 1)] = *bytes {
        return MetadataValue::TextOrBoolean(Cow::Owned(bytes), byte == 1);
    }
    match pairs::in_order(&bytes) {
        Some(block) => MetadataValue::Composite(Cow::Owned(block)),
        None => MetadataValue::Text(Cow::Owned(bytes)),
    }
}
