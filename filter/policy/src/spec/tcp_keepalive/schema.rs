//! `tcpKeepalive`: what may be written.

use super::checks;
use crate::schema::shape::*;
use crate::spec::numbers::*;

pub(crate) static TCP_KEEPALIVE: Object = object(
    &[
        optional("idleTime", Shape::Duration).checked(checks::whole_seconds),
        optional("interval", Shape::Duration).checked(checks::whole_seconds),
        optional("probes", ANY_INTEGER).checked(UINT32_CHECK),
    ],
    &[],
);
