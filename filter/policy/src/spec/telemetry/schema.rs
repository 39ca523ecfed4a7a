//! `telemetry`: what may be written.

use super::checks;
use crate::schema::shape::*;

pub(crate) static TELEMETRY: Object = object(
    &[
        optional("metrics", Shape::Object(&METRICS)),
        optional("tracing", Shape::Object(&TRACING)),
    ],
    &[],
);

static METRICS: Object = object(
    &[optional("routeStatName", ANY_TEXT).checked(checks::stat_name)],
    &[],
);

static TRACING: Object = object(
    &[
        optional("samplingFraction", Shape::Object(&FRACTION)),
        optional("clientSamplingFraction", Shape::Object(&FRACTION)),
        optional("overallSamplingFraction", Shape::Object(&FRACTION)),
        optional("spanName", Shape::Object(&SPAN_NAME)),
        optional("tags", Shape::Dictionary(&ANY_TEXT)),
        optional("customTags", Shape::Dictionary(&Shape::Object(&CUSTOM_TAG))),
    ],
    &[],
);

static SPAN_NAME: Object = object(
    &[required("client", ANY_TEXT), required("server", ANY_TEXT)],
    &[],
);

static CUSTOM_TAG: Object = object(
    &[
        required(
            "type",
            Shape::Choice(&["Literal", "Environment", "RequestHeader"]),
        ),
        optional("literal", Shape::Object(&LITERAL)),
        optional("environment", Shape::Object(&NAMED_VALUE)),
        optional("requestHeader", Shape::Object(&NAMED_VALUE)),
    ],
    &[],
);

static LITERAL: Object = object(&[required("value", ANY_TEXT)], &[]);

static NAMED_VALUE: Object = object(
    &[
        required("name", ANY_TEXT),
        optional("defaultValue", ANY_TEXT),
    ],
    &[],
);
