//! `compressor`, and `compression` as it was called before: what may be written.

use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static COMPRESSION: Object = object(
    &[
        required("type", Shape::Choice(&["Gzip", "Brotli", "Zstd"])),
        optional("gzip", Shape::Object(&NOTHING)),
        optional("brotli", Shape::Object(&NOTHING)),
        optional("zstd", Shape::Object(&NOTHING)),
        optional("minContentLength", Shape::Quantity).checked(BYTES),
    ],
    &[],
);

static NOTHING: Object = object(&[], &[]);
