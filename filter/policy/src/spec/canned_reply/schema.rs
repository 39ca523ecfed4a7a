//! Replies that a policy writes: what may be written.

use crate::schema::shape::*;

pub(crate) static REJECTION: Object = object(
    &[
        optional("statusCode", integer(400, 599)),
        optional("contentType", text(1, 4096)),
        optional("body", text(0, 65_536)),
        optional("headers", list(0, 16, &Shape::Object(&HEADER))),
    ],
    &[],
);

pub(crate) static REJECT: Object = object(
    &[
        extension("statusCode", integer(400, 599)),
        extension("contentType", text(1, 4096)),
        extension("body", text(0, 65_536)),
        extension("headers", list(0, 16, &Shape::Object(&HEADER))),
        extension("grpcStatus", integer(1, 16)),
    ],
    &[],
);

/// A header that a policy writes.
pub(crate) static HEADER: Object = object(
    &[required("name", TOKEN), required("value", text(1, 4096))],
    &[],
);
