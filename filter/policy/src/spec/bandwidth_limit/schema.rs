//! `bandwidthLimit`: what may be written.

use super::checks;
use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static BANDWIDTH_LIMIT: Object = object(
    &[
        optional(
            "request",
            "Limits the rate of request bodies to the upstreams, for all requests of a route \
             together.",
            Shape::Object(&REQUEST_BANDWIDTH),
        ),
        optional(
            "response",
            "Limits the rate of response bodies to the clients, for all responses of a route \
             together.",
            Shape::Object(&RESPONSE_BANDWIDTH),
        ),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have request, response or both",
        |it| count(it, &["request", "response"]) > 0,
    )],
);

pub(crate) static REQUEST_BANDWIDTH: Object = object(
    &[required(
        "limit",
        "Bytes of request bodies in a unit of time, rounded down to whole KiB per second.",
        Shape::Object(&BANDWIDTH),
    )
    .checked(checks::bandwidth)],
    &[],
);

pub(crate) static RESPONSE_BANDWIDTH: Object = object(
    &[
        required(
            "limit",
            "Bytes of response bodies in a unit of time, rounded down to whole KiB per second.",
            Shape::Object(&BANDWIDTH),
        )
        .checked(checks::bandwidth),
        optional(
            "responseTrailers",
            "Adds trailers that tell the client how long its response was delayed.",
            Shape::Object(&RESPONSE_TRAILERS),
        ),
    ],
    &[],
);

pub(crate) static BANDWIDTH: Object = object(
    &[
        required(
            "value",
            "Bytes per unit of time, such as 512Ki; at least 1 KiB per second.",
            Shape::Quantity,
        ),
        required(
            "unit",
            "The unit of time.",
            Shape::Choice(&["Second", "Minute", "Hour"]),
        ),
    ],
    &[],
);

pub(crate) static RESPONSE_TRAILERS: Object = object(
    &[optional(
        "prefix",
        "Prefix of each trailer's name, to distinguish filters.",
        formed(0, usize::MAX, Form::OneLine),
    )
    .checked(checks::prefix)],
    &[],
);
