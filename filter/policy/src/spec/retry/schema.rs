//! `retry`: what may be written.

use super::TRIGGERS;
use crate::schema::shape::*;

pub(crate) static RETRY: Object = object(
    &[
        optional("numRetries", COUNT),
        optional("numAttemptsPerPriority", ANY_INTEGER),
        optional("perRetry", Shape::Object(&PER_RETRY)),
        optional("retryOn", Shape::Object(&RETRY_ON)),
        extension("methods", list(1, 16, &TOKEN)),
    ],
    &[],
);

static PER_RETRY: Object = object(
    &[
        optional("timeout", Shape::Duration),
        optional("backOff", Shape::Object(&BACK_OFF)),
    ],
    &[],
);

static BACK_OFF: Object = object(
    &[
        optional("baseInterval", Shape::Duration),
        optional("maxInterval", Shape::Duration),
    ],
    &[],
);

static RETRY_ON: Object = object(
    &[
        optional("triggers", many(&TRIGGER)),
        optional("httpStatusCodes", many(&STATUS)),
    ],
    &[],
);

const TRIGGER: Shape = Shape::Choice(&TRIGGERS);
