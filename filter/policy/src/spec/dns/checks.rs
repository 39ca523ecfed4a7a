//! What Envoy refuses of `dns`, tried on Envoy 1.40.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::Duration;

pub(in crate::spec) fn refresh_rate(at: Cursor<'_>, problems: &mut Problems) {
    if Duration::read(at, problems) == Some(Duration::from_millis(1)) {
        at.refuse(
            problems,
            Code::DurationOutOfBounds,
            "must be longer than 1ms",
        );
    }
}
