//! Replies that a policy writes: what may be written.

use crate::schema::shape::*;

pub(crate) static REJECTION: Object = object(
    &[
        optional(
            "statusCode",
            "HTTP status of the reply to a client whose body is too large.",
            integer(400, 599),
        )
        .or("413"),
        optional(
            "contentType",
            "Content type of the reply to a client whose body is too large.",
            text(1, 4096),
        )
        .or("text/plain"),
        optional(
            "body",
            "Body of the reply to a client whose body is too large, taken literally; up \
             to 64 KiB.",
            text(0, 65_536),
        )
        .or("Payload Too Large"),
        optional(
            "headers",
            "Further headers of the reply to a client whose body is too large; \
             content-type is not one of them.",
            list(0, 16, &Shape::Object(&HEADER)),
        ),
    ],
    &[],
);

pub(crate) static REJECT: Object = object(
    &[
        extension(
            "statusCode",
            "HTTP status of the reply to a refused client.",
            integer(400, 599),
        )
        .or("429"),
        extension(
            "contentType",
            "Content type of the reply to a refused client.",
            text(1, 4096),
        )
        .or("text/plain"),
        extension(
            "body",
            "Body of the reply to a refused client, taken literally; up to 64 KiB.",
            text(0, 65_536),
        )
        .or("local_rate_limited"),
        extension(
            "headers",
            "Further headers of the reply to a refused client; content-type is not one of them.",
            list(0, 16, &Shape::Object(&HEADER)),
        ),
        extension(
            "grpcStatus",
            "gRPC status of the reply to a refused client, by its number.",
            integer(1, 16),
        )
        .or("the gRPC status that Envoy maps the HTTP status to: 14 (UNAVAILABLE) for 429"),
    ],
    &[],
);

/// A header that a policy writes.
pub(crate) static HEADER: Object = object(
    &[
        required(
            "name",
            "Name of the header: an HTTP token of 1 to 256 characters, in any case.",
            TOKEN,
        ),
        required(
            "value",
            "Value of the header; 1 to 4096 characters, without line breaks.",
            text(1, 4096),
        ),
    ],
    &[],
);
