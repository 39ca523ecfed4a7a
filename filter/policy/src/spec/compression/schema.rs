//! `compressor`, and `compression` as it was called before: what may be written.

use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static COMPRESSION: Object = object(
    &[
        required(
            "type",
            "The algorithm; of several items the first is preferred where a client takes both.",
            Shape::Choice(&["Gzip", "Brotli", "Zstd"]),
        ),
        optional(
            "gzip",
            "Switches gzip on: an empty object, as there are no settings; in compressor an item \
             without it is off.",
            Shape::Object(&NOTHING),
        ),
        optional(
            "brotli",
            "Switches Brotli on: an empty object, as there are no settings; in compressor an \
             item without it is off.",
            Shape::Object(&NOTHING),
        ),
        optional(
            "zstd",
            "Switches Zstandard on: an empty object, as there are no settings; in compressor an \
             item without it is off.",
            Shape::Object(&NOTHING),
        ),
        optional(
            "minContentLength",
            "Bytes below which a response is sent as it is, as compressing it would not pay.",
            Shape::Quantity,
        )
        .or("30")
        .checked(BYTES),
    ],
    &[],
);

pub(crate) static NOTHING: Object = object(&[], &[]);
