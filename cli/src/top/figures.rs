//! Numbers, short enough for a column.

use std::time::Duration;

use super::view::Count;

/// A counter: its rate, or what it has come to.
pub(super) fn count(count: Count, shows_total: bool) -> String {
    match (shows_total, count.per_second) {
        (true, _) => count.total.to_string(),
        (false, Some(rate)) => rate_of(rate),
        // Known after the next look.
        (false, None) => "-".to_owned(),
    }
}

/// Small rates have places behind the point.
pub(super) fn rate_of(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        it if it < 0.01 => "<0.01".to_owned(),
        it if it < 1.0 => format!("{it:.2}"),
        it if it < 100.0 => format!("{it:.1}"),
        it => format!("{it:.0}"),
    }
}

/// An amount of memory.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(shift, _)| bytes >> shift > 0);
    match unit {
        None => format!("{bytes} B"),
        Some((shift, name)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

/// How long something has lasted, by its two largest units.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (rate, text) in [
            (0.0, "0"),
            (0.001, "<0.01"),
            (0.25, "0.25"),
            (1.0, "1.0"),
            (99.94, "99.9"),
            (1234.5, "1234"),
        ] {
            assert_eq!(rate_of(rate), text);
        }
        for (value, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (5 << 20, "5.0 MiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
        for (seconds, text) in [(7, "7s"), (61, "1m1s"), (3_700, "1h1m"), (100_000, "1d3h")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
