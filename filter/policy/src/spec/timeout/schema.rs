//! `timeout`: what may be written.

use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static TIMEOUT: Object = object(
    &[
        optional("http", Shape::Object(&HTTP)),
        optional("tcp", Shape::Object(&TCP)),
    ],
    &[],
);

static HTTP: Object = object(
    &[
        optional("connectionIdleTimeout", Shape::Duration),
        optional("maxConnectionDuration", Shape::Duration),
        optional("maxStreamDuration", Shape::Duration),
        optional("requestTimeout", Shape::Duration),
        optional("streamIdleTimeout", Shape::Duration),
    ],
    &[],
);

static TCP: Object = object(
    &[optional("connectTimeout", Shape::Duration).checked(POSITIVE)],
    &[],
);
