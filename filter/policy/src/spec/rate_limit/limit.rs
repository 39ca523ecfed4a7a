//! `limit`: so many requests in so long.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
use crate::scalar::Duration;

/// So many requests in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The requests; 0 lets none pass.
    pub requests: u32,
    /// The time.
    pub unit: Unit,
    /// How many may pass at once after a quiet time: `requests` unless it is
    /// set. An extension.
    pub burst: u32,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named as in the API")]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// Reads a unit.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let units = [
            ("Second", Self::Second),
            ("Minute", Self::Minute),
            ("Hour", Self::Hour),
            ("Day", Self::Day),
            ("Week", Self::Week),
            ("Month", Self::Month),
            ("Year", Self::Year),
        ];
        at.choice(&units, problems)
    }

    /// Its length; a month has 30 days, a year 365.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        const DAY: u64 = 86_400;
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }

    /// Its length as a duration in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.seconds() * Duration::from_millis(1000).as_nanos()
    }
}

/// A bucket that takes longer than this to fill up is a mistake, and would
/// not fit into the filter's arithmetic.
const LONGEST_REFILL_YEARS: u64 = 100;

impl Limit {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&super::schema::LOCAL_LIMIT, problems)?;
        if let Some(at) = object.get("fromMetadata") {
            at.refuse(
                problems,
                Code::GlobalOnly,
                "must be left out: only global limits have it",
            );
        }
        let requests = object
            .required("requests", problems)
            .and_then(|at| at.integer(0..=i64::from(u32::MAX), problems))
            .and_then(|requests| u32::try_from(requests).ok());
        let unit = object
            .required("unit", problems)
            .and_then(|at| Unit::read(at, problems));
        let burst = object.optional("burst", problems, |at, problems| {
            Some((at, at.integer(1..=i64::from(u32::MAX), problems)?))
        })?;
        let (requests, unit) = (requests?, unit?);
        let Some((at, burst)) = burst else {
            return Some(Self {
                requests,
                unit,
                burst: requests,
            });
        };
        let burst = u32::try_from(burst).ok()?;
        if requests == 0 {
            at.refuse(
                problems,
                Code::ExcludedField,
                "must be left out: requests: 0 refuses all",
            );
        } else if u64::from(burst).saturating_mul(unit.seconds())
            > u64::from(requests).saturating_mul(LONGEST_REFILL_YEARS * Unit::Year.seconds())
        {
            let reason = format!(
                "is too much for {requests} per {} s: it would take more than \
                 {LONGEST_REFILL_YEARS} years to refill",
                unit.seconds()
            );
            at.refuse(problems, Code::BurstTooLarge, reason);
        }
        Some(Self {
            requests,
            unit,
            burst,
        })
    }
}
