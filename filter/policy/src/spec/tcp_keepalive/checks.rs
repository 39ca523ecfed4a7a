//! What the operating system cannot do of a `tcpKeepalive`.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::Duration;

pub(in crate::spec) fn whole_seconds(at: Cursor<'_>, problems: &mut Problems) {
    if let Some(duration) = Duration::read(at, problems)
        && !duration.as_nanos().is_multiple_of(1_000_000_000)
    {
        at.refuse(
            problems,
            Code::PartOfSecond,
            "must be whole seconds, the operating system's unit",
        );
    }
}
