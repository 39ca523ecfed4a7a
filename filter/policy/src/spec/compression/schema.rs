//! `compressor`, and `compression` as it was called before: what may be written.

use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static COMPRESSION: Object = object(
    &[
        required(
            "type",
            "The algorithm; if a client accepts several, the first item is preferred.",
            Shape::Choice(&["Gzip", "Brotli", "Zstd"]),
        ),
        optional(
            "gzip",
            "Enables gzip: an empty object, as there are no settings; in compressor an item \
             without it is off.",
            Shape::Object(&NOTHING),
        ),
        optional(
            "brotli",
            "Enables Brotli: an empty object, as there are no settings; in compressor an item \
             without it is off.",
            Shape::Object(&NOTHING),
        ),
        optional(
            "zstd",
            "Enables Zstandard: an empty object, as there are no settings; in compressor an item \
             without it is off.",
            Shape::Object(&NOTHING),
        ),
        optional(
            "minContentLength",
            "Size in bytes below which a response is not compressed.",
            Shape::Quantity,
        )
        .or("30")
        .checked(BYTES),
    ],
    &[],
);

pub(crate) static NOTHING: Object = object(&[], &[]);
