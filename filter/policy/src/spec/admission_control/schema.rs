//! `admissionControl`: what may be written.

use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static ADMISSION_CONTROL: Object = object(
    &[
        optional(
            "maxRejectionPercent",
            "The largest share of requests, in percent, that Envoy rejects, however many fail.",
            PERCENT,
        )
        .or("80"),
        optional(
            "minRequestRate",
            "Requests per second below which nothing is rejected. Each worker of Envoy compares \
             its own share of the requests.",
            ours(&COUNT, &integer(0, UINT32)),
        )
        .or("0"),
        optional(
            "minSuccessRate",
            "The share of successful requests, in percent, below which Envoy begins to reject \
             requests.",
            integer(1, 100),
        )
        .or("95"),
        optional(
            "rejectionAggression",
            "How steeply rejections rise as the success rate falls; 1 is linear, a larger value \
             is steeper.",
            integer(1, i64::MAX),
        )
        .or("1"),
        optional(
            "samplingWindow",
            "The window over which Envoy computes the success rate; at least 1s.",
            Shape::Duration,
        )
        .or("30s"),
        optional(
            "successCriteria",
            "Which responses count as a success; by default HTTP statuses below 500, and gRPC \
             statuses other than server errors.",
            Shape::Object(&SUCCESS_CRITERIA),
        ),
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

pub(crate) static SUCCESS_CRITERIA: Object = object(
    &[
        optional(
            "http",
            "Which HTTP responses count as a success.",
            Shape::Object(&HTTP_CRITERIA),
        ),
        optional(
            "grpc",
            "Which gRPC calls count as a success.",
            Shape::Object(&GRPC_CRITERIA),
        ),
    ],
    &[],
);

pub(crate) static HTTP_CRITERIA: Object = object(
    &[optional(
        "statusCodes",
        "HTTP statuses that count as a success; every other one is a failure.",
        many(&STATUS),
    )
    .or("every status below 500")],
    &[],
);

pub(crate) static GRPC_CRITERIA: Object = object(
    &[optional(
        "statusCodes",
        "Names of gRPC statuses that count as a success; every other one is a failure.",
        many(&GRPC_STATUS),
    )
    .or(
        "all but DeadlineExceeded, ResourceExhausted, Aborted, Internal, Unavailable and \
             DataLoss",
    )],
    &[],
);

const GRPC_STATUS: Shape = Shape::Choice(&GRPC_STATUSES);

/// The names of gRPC's statuses, each at the place of its number.
pub(super) const GRPC_STATUSES: [&str; 17] = [
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
];
