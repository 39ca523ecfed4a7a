//! `telemetry`.

use super::shape::{ANY_TEXT, FRACTION, Object, Shape, optional, required};

pub(super) static TELEMETRY: Object = Object {
    fields: &[
        optional("metrics", Shape::Object(&METRICS)),
        optional("tracing", Shape::Object(&TRACING)),
    ],
    rules: &[],
};

static METRICS: Object = Object {
    fields: &[optional("routeStatName", ANY_TEXT)],
    rules: &[],
};

static TRACING: Object = Object {
    fields: &[
        optional("samplingFraction", Shape::Object(&FRACTION)),
        optional("clientSamplingFraction", Shape::Object(&FRACTION)),
        optional("overallSamplingFraction", Shape::Object(&FRACTION)),
        optional("spanName", Shape::Object(&SPAN_NAME)),
        optional("tags", Shape::Dictionary(&ANY_TEXT)),
        optional("customTags", Shape::Dictionary(&Shape::Object(&CUSTOM_TAG))),
    ],
    rules: &[],
};

static SPAN_NAME: Object = Object {
    fields: &[required("client", ANY_TEXT), required("server", ANY_TEXT)],
    rules: &[],
};

static CUSTOM_TAG: Object = Object {
    fields: &[
        required(
            "type",
            Shape::Choice(&["Literal", "Environment", "RequestHeader"]),
        ),
        optional("literal", Shape::Object(&LITERAL)),
        optional("environment", Shape::Object(&NAMED_VALUE)),
        optional("requestHeader", Shape::Object(&NAMED_VALUE)),
    ],
    rules: &[],
};

static LITERAL: Object = Object {
    fields: &[required("value", ANY_TEXT)],
    rules: &[],
};

static NAMED_VALUE: Object = Object {
    fields: &[
        required("name", ANY_TEXT),
        optional("defaultValue", ANY_TEXT),
    ],
    rules: &[],
};
