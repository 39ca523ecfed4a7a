//! The time that a limit is for: fixed windows that begin at multiples of their length
//! since 1970.

use anyhow::{Context, Result};

use crate::rls::Unit;

const DAY: u64 = 24 * 60 * 60;

/// Units by name, and how long they are. A month has 30 days, a year 365
/// (`UnitToDivider`).
const UNITS: [(&str, Unit, u64); 7] = [
    ("second", Unit::Second, 1),
    ("minute", Unit::Minute, 60),
    ("hour", Unit::Hour, 60 * 60),
    ("day", Unit::Day, DAY),
    ("week", Unit::Week, 7 * DAY),
    ("month", Unit::Month, 30 * DAY),
    ("year", Unit::Year, 365 * DAY),
];

/// A unit, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    unit: Unit,
    seconds: u64,
}

impl Window {
    /// Of a unit in the file, in capitals or not.
    pub(super) fn named(name: &str) -> Result<Self> {
        let found = Self::find(|it, _| it.eq_ignore_ascii_case(name));
        found.with_context(|| {
            let names = UNITS.map(|(name, ..)| name).join(", ");
            format!("{name:?} is no unit; there are {names}")
        })
    }

    /// Of a unit in a request.
    pub(super) fn numbered(number: i32) -> Result<Self> {
        let found = Self::find(|_, unit| i32::from(unit) == number);
        found.with_context(|| format!("a request's own limit has the unit {number}"))
    }

    fn find(wanted: impl Fn(&str, Unit) -> bool) -> Option<Self> {
        let found = UNITS.iter().find(|(name, unit, _)| wanted(name, *unit));
        found.map(|&(_, unit, seconds)| Self { unit, seconds })
    }

    /// Its unit, as messages have it.
    pub(super) fn unit(self) -> Unit {
        self.unit
    }

    /// How long it is.
    pub(super) fn seconds(self) -> u64 {
        self.seconds
    }

    /// When the one began in which `now` is; both in seconds since 1970.
    pub(super) fn start(self, now: u64) -> u64 {
        now - now % self.seconds
    }

    /// How many seconds of it are left.
    pub(super) fn rest(self, now: u64) -> u64 {
        self.seconds - now % self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_these_lengths() {
        for (name, seconds) in [
            ("second", 1),
            ("Minute", 60),
            ("HOUR", 3600),
            ("day", 86_400),
            ("week", 604_800),
            ("month", 2_592_000),
            ("year", 31_536_000),
        ] {
            assert_eq!(Window::named(name).unwrap().seconds(), seconds, "{name}");
        }
        for name in ["", "unknown", "days", "1", "fortnight"] {
            assert!(Window::named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn requests_number_units_as_the_protocol_does() {
        for (number, seconds) in [(1, 1), (4, 86_400), (6, 31_536_000), (7, 604_800)] {
            assert_eq!(Window::numbered(number).unwrap().seconds(), seconds);
        }
        assert!(Window::numbered(0).is_err());
        assert!(Window::numbered(8).is_err());
    }

    #[test]
    fn windows_begin_at_multiples_of_their_length() {
        let hour = Window::named("hour").unwrap();
        for (now, start, rest) in [
            (7199, 3600, 1),
            (7200, 7200, 3600),
            (7201, 7200, 3599),
            (0, 0, 3600),
        ] {
            assert_eq!((hour.start(now), hour.rest(now)), (start, rest), "{now}");
        }
    }
}
