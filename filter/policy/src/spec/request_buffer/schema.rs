//! `requestBuffer`: what may be written.

use crate::schema::shape::*;
use crate::spec::canned_reply::schema::REJECTION;
use crate::spec::selector::schema::SELECTOR;

/// Conditions of our extensions: alternatives, each like a clientSelector.
const SELECTORS: Shape = Shape::Object(&SELECTOR);

pub(crate) static REQUEST_BUFFER: Object = object(
    &[
        optional("limit", Shape::Quantity),
        extension("mode", Shape::Choice(&["Buffer", "Stream"])),
        extension("includeStreams", Shape::Boolean),
        extension("gatherGrpc", Shape::Boolean),
        extension("rules", list(1, 16, &Shape::Object(&BUFFER_RULE))),
        extension("minDataRate", Shape::Object(&MIN_DATA_RATE)),
        extension("maxDuration", Shape::Duration),
        extension("maxTotal", Shape::Quantity),
        extension("reject", Shape::Object(&REJECTION)),
    ],
    &[],
);

static BUFFER_RULE: Object = object(
    &[
        required("match", list(1, 16, &SELECTORS)),
        required("limit", Shape::Quantity),
    ],
    &[],
);

static MIN_DATA_RATE: Object = object(
    &[
        required("bytesPerSecond", Shape::Quantity),
        optional("gracePeriod", Shape::Duration),
    ],
    &[],
);
