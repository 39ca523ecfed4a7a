//! `retry`: what may be written.

use super::TRIGGERS;
use crate::code::Code;
use crate::owner::{Capability, Owner};
use crate::schema::shape::*;

pub(crate) static RETRY: Object = object(
    &[
        optional(
            "numRetries",
            "How often a request is retried after its first attempt.",
            ours(&COUNT, &integer(0, UINT32)),
        )
        .by(Owner::Envoy)
        .or("2"),
        optional(
            "numAttemptsPerPriority",
            "Attempts before Envoy uses endpoints of another priority; 0 is the same as leaving \
             it out.",
            ours(&ANY_INTEGER, &integer(0, 2_147_483_647)),
        )
        .by(Owner::Envoy)
        .or("each attempt chooses by the load of the priorities"),
        optional(
            "perRetry",
            "How long an attempt may take, and how long Envoy waits before the next.",
            Shape::Object(&PER_RETRY),
        )
        .by(Owner::Envoy),
        optional(
            "retryOn",
            "For which failures a request is retried.",
            Shape::Object(&RETRY_ON),
        )
        .by(Owner::Envoy)
        .or("connect-failure, refused-stream, unavailable, cancelled, and status 503"),
        extension(
            "methods",
            "Methods whose requests may be retried, in capitals; Idempotent means GET, HEAD, \
             OPTIONS, TRACE, PUT and DELETE.",
            list(1, 16, &TOKEN),
        )
        .by(Owner::Filter(Capability::Retry))
        .or("all methods"),
    ],
    &[],
);

pub(crate) static PER_RETRY: Object = object(
    &[
        optional(
            "timeout",
            "How long one attempt may take, including the first; 0s is as long as the request.",
            Shape::Duration,
        )
        .or("as long as the request"),
        optional(
            "backOff",
            "How long Envoy waits between attempts: twice as long each time, with jitter.",
            Shape::Object(&BACK_OFF),
        )
        .example("baseInterval: 100ms\nmaxInterval: 2s"),
    ],
    &[],
);

pub(crate) static BACK_OFF: Object = object(
    &[
        optional(
            "baseInterval",
            "The wait before the first retry; more than zero.",
            Shape::Positive,
        )
        .or("25ms, or maxInterval if that is less"),
        optional(
            "maxInterval",
            "The longest wait before any retry; not below baseInterval.",
            Shape::Positive,
        )
        .or("ten times baseInterval"),
    ],
    &[],
);

pub(crate) static RETRY_ON: Object = object(
    &[
        optional(
            "triggers",
            "Failures, named as in Envoy's retry_on; they replace the default ones.",
            many(&TRIGGER),
        )
        .or("connect-failure, refused-stream, unavailable, cancelled, retriable-status-codes"),
        optional(
            "httpStatusCodes",
            "Statuses for which a request is retried; they imply the trigger \
             retriable-status-codes.",
            many(&STATUS),
        )
        .or("none; without retryOn 503"),
        extension(
            "conditions",
            "Failures for which requests of some methods are retried, instead of triggers, \
             httpStatusCodes and retry.methods. All conditions for the request's method apply.",
            list(1, super::MAX_CONDITIONS, &Shape::Object(&CONDITION)),
        )
        .by(Owner::Filter(Capability::Retry))
        .example(concat!(
            "- triggers: [connect-failure, refused-stream]\n",
            "- httpStatusCodes: [503]\n",
            "  methods: [Idempotent]"
        )),
    ],
    &[],
);

pub(crate) static CONDITION: Object = object(
    &[
        optional(
            "triggers",
            "Failures of this condition, named as in Envoy's retry_on.",
            list(1, usize::MAX, &TRIGGER),
        )
        .or("none; retriable-status-codes beside httpStatusCodes"),
        optional(
            "httpStatusCodes",
            "Statuses of this condition; they imply their trigger here, too.",
            list(1, usize::MAX, &STATUS),
        )
        .or("none"),
        optional(
            "methods",
            "Methods of this condition, in capitals; Idempotent means the same as in \
             retry.methods.",
            list(1, 16, &TOKEN),
        )
        .or("all methods"),
    ],
    &[rule(
        Code::NoneOfFields,
        "must have triggers or httpStatusCodes",
        |condition| has(condition, "triggers") || has(condition, "httpStatusCodes"),
    )],
);

const TRIGGER: Shape = Shape::Choice(&TRIGGERS);
