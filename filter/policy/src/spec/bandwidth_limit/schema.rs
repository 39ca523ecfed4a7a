//! `bandwidthLimit`: what may be written.

use super::checks;
use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static BANDWIDTH_LIMIT: Object = object(
    &[
        optional("request", Shape::Object(&REQUEST_BANDWIDTH)),
        optional("response", Shape::Object(&RESPONSE_BANDWIDTH)),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have request, response or both",
        |it| count(it, &["request", "response"]) > 0,
    )],
);

static REQUEST_BANDWIDTH: Object = object(
    &[required("limit", Shape::Object(&BANDWIDTH)).checked(checks::bandwidth)],
    &[],
);

static RESPONSE_BANDWIDTH: Object = object(
    &[
        required("limit", Shape::Object(&BANDWIDTH)).checked(checks::bandwidth),
        optional("responseTrailers", Shape::Object(&RESPONSE_TRAILERS)),
    ],
    &[],
);

static BANDWIDTH: Object = object(
    &[
        required("value", Shape::Quantity),
        required("unit", Shape::Choice(&["Second", "Minute", "Hour"])),
    ],
    &[],
);

static RESPONSE_TRAILERS: Object = object(
    &[optional("prefix", formed(0, usize::MAX, Form::OneLine))],
    &[],
);
