//! `schedule`: from when to when faults are injected.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::read_timestamp;

/// A span of wall-clock time, in milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    start: u64,
    end: u64,
}

impl Schedule {
    /// Whether it covers this time.
    #[must_use]
    pub fn covers(self, wall_ms: u64) -> bool {
        (self.start..self.end).contains(&wall_ms)
    }

    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::SCHEDULE, problems)?;
        if !object.has("start") && !object.has("end") {
            at.refuse(problems, Code::NoneOfFields, "must have start, end or both");
        }
        let start = object.or_default("start", problems, read_timestamp);
        let end = object.or("end", u64::MAX, problems, read_timestamp);
        let schedule = Self {
            start: start?,
            end: end?,
        };
        if schedule.start >= schedule.end
            && let Some(at) = object.get("end")
        {
            at.refuse(problems, Code::WrongOrder, "must be later than start");
            return None;
        }
        Some(schedule)
    }
}
