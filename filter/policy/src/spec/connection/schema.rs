//! `connection`: what may be written.

use super::checks;
use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static CONNECTION: Object = object(
    &[
        optional("bufferLimit", Shape::Quantity).checked(BYTES),
        optional("socketBufferLimit", Shape::Quantity),
        optional("preconnect", Shape::Object(&PRECONNECT)),
    ],
    &[],
);

static PRECONNECT: Object = object(
    &[
        optional("perEndpointPercent", integer(100, 300)),
        optional("predictivePercent", integer(100, i64::MAX)).checked(checks::predictive_percent),
    ],
    &[],
);
