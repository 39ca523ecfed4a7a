//! Durations in Gateway API form (GEP-2257): `1h30m`, `200ms`.

use std::fmt;

#[cfg(feature = "schema")]
use super::units;
use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

/// A span of time in whole nanoseconds.
///
/// Written as one to four groups of one to five digits with a unit each:
/// `h`, `m`, `s` or `ms`. No fractions, no sign, no bare `0`. The longest
/// that can be written is 399,996 h, which is less than half of what fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    nanos: u64,
}

const NANOS_PER_MS: u64 = 1_000_000;
const UNITS: [(&str, u64); 4] = [
    ("ms", NANOS_PER_MS),
    ("h", 3_600_000 * NANOS_PER_MS),
    ("m", 60_000 * NANOS_PER_MS),
    ("s", 1_000 * NANOS_PER_MS),
];

impl Duration {
    /// A duration of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self {
            nanos: millis as u64 * NANOS_PER_MS,
        }
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// The duration that `text` stands for, or `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const MOST_GROUPS: usize = 4;
        let mut rest = text;
        let mut nanos = 0_u64;
        for _ in 0..MOST_GROUPS {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=5).contains(&digits) {
                return None;
            }
            let (number, tail) = rest.split_at_checked(digits)?;
            let (unit, scale) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
            nanos = nanos.checked_add(number.parse::<u64>().ok()?.checked_mul(*scale)?)?;
            rest = tail.strip_prefix(unit)?;
            if rest.is_empty() {
                return Some(Self { nanos });
            }
        }
        None
    }

    /// Reads a duration.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let duration = at.node.as_str().and_then(Self::parse);
        if duration.is_none() {
            let reason =
                "must be a duration such as 200ms, 10s or 1h30m (units h, m, s, ms; no fractions)";
            #[cfg(feature = "schema")]
            let reason = units::with_meant(
                reason,
                &units::suggested_durations(&at.node.value, Self::is_right),
            );
            at.refuse(problems, Code::MalformedDuration, reason);
        }
        duration
    }

    #[cfg(feature = "schema")]
    pub(super) fn is_right(text: &str) -> bool {
        Self::parse(text).is_some()
    }

    /// Reads a duration longer than zero.
    pub fn read_positive(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let duration = Self::read(at, problems)?;
        if duration.nanos == 0 {
            at.refuse(
                problems,
                Code::DurationOutOfBounds,
                "must be longer than zero",
            );
            return None;
        }
        Some(duration)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.nanos / NANOS_PER_MS;
        if millis.is_multiple_of(1000) {
            write!(formatter, "{}s", millis / 1000)
        } else {
            write!(formatter, "{millis}ms")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn reads_every_unit_and_their_sums() {
        let ms = |text: &str| Duration::parse(text).map(|d| d.as_nanos() / NANOS_PER_MS);
        assert_eq!(ms("200ms"), Some(200));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1h2m3s4ms"), Some(3_723_004));
        assert_eq!(ms("0s"), Some(0));
        assert_eq!(ms("99999h99999h99999h99999h"), Some(399_996 * 3_600_000));
    }

    #[test]
    fn refuses_what_the_gateway_api_refuses() {
        for text in [
            "",
            "1",
            "s",
            "1.5s",
            "-1s",
            "+1s",
            "100000s",
            "1s ",
            " 1s",
            "1us",
            "1h1m1s1ms1s",
            "1S",
            "١s",
            "1sé",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = Duration::parse(&text);
        }

        #[test]
        fn what_is_printed_is_read_again(millis in 0_u32..99_999) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(Duration::parse(&duration.to_string()), Some(duration));
        }
    }
}
