//! `admissionControl`: what may be written.

use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static ADMISSION_CONTROL: Object = object(
    &[
        optional("maxRejectionPercent", PERCENT),
        optional("minRequestRate", COUNT),
        optional("minSuccessRate", integer(1, 100)),
        optional("rejectionAggression", integer(1, i64::MAX)),
        optional("samplingWindow", Shape::Duration),
        optional("successCriteria", Shape::Object(&SUCCESS_CRITERIA)),
    ],
    &[rule(
        Code::DurationOutOfBounds,
        "must have a samplingWindow of at least 1s",
        |it| {
            let window = text_in(it, "samplingWindow", "1s");
            crate::scalar::Duration::parse(window)
                .is_none_or(|window| window.as_nanos() >= 1_000_000_000)
        },
    )],
);

static SUCCESS_CRITERIA: Object = object(
    &[
        optional("http", Shape::Object(&HTTP_CRITERIA)),
        optional("grpc", Shape::Object(&GRPC_CRITERIA)),
    ],
    &[],
);

static HTTP_CRITERIA: Object = object(&[optional("statusCodes", many(&STATUS))], &[]);

static GRPC_CRITERIA: Object = object(&[optional("statusCodes", many(&GRPC_STATUS))], &[]);

const GRPC_STATUS: Shape = Shape::Choice(&[
    "Ok",
    "Cancelled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
]);
