//! The format of `%START_TIME(…)%`: the parts of strftime that a date, a
//! time of day or a Unix time need.

use std::fmt;

/// How a time is printed, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeFormat {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// So many digits of the fraction of a second.
    Fraction(usize),
    /// Seconds since 1970.
    Unix,
}

impl TimeFormat {
    /// What Envoy prints without a format: `2026-11-21T08:30:00.000Z`.
    pub const DEFAULT: &str = "%Y-%m-%dT%H:%M:%E3SZ";

    /// Reads a format.
    ///
    /// # Errors
    /// What is wrong with it, as a predicate of the format.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut format = Self { pieces: Vec::new() };
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('%') {
            format.push_text(before);
            rest = format.push_specifier(after).ok_or_else(|| {
                let spot: String = after.chars().take(3).collect();
                format!(
                    "has %{spot}; known are %Y, %m, %d, %H, %M, %S, %F, %T, %s, %f, %1f to %9f \
                     and %E1S to %E9S"
                )
            })?;
        }
        format.push_text(rest);
        Ok(format)
    }

    /// The time `unix_ns` (nanoseconds since 1970) in this format.
    #[must_use]
    pub fn print(&self, unix_ns: u64) -> String {
        let seconds = unix_ns / 1_000_000_000;
        let (year, month, day) = date(seconds / 86_400);
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Year => text.push_str(&format!("{year:04}")),
                Piece::Month => push_two(&mut text, month),
                Piece::Day => push_two(&mut text, day),
                Piece::Hour => push_two(&mut text, seconds / 3600 % 24),
                Piece::Minute => push_two(&mut text, seconds / 60 % 60),
                Piece::Second => push_two(&mut text, seconds % 60),
                Piece::Fraction(digits) => {
                    let fraction = format!("{:09}", unix_ns % 1_000_000_000);
                    text.push_str(fraction.get(..*digits).unwrap_or_default());
                }
                Piece::Unix => text.push_str(&seconds.to_string()),
            }
        }
        text
    }

    fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(before)) => before.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// Reads what follows a percent sign and gives what follows that.
    fn push_specifier<'a>(&mut self, source: &'a str) -> Option<&'a str> {
        if let Some(rest) = source.strip_prefix('E') {
            let (digits, rest) = digits(rest)?;
            let rest = rest.strip_prefix('S')?;
            self.pieces.push(Piece::Second);
            self.push_text(".");
            self.pieces.push(Piece::Fraction(digits));
            return Some(rest);
        }
        if let Some((digits, rest)) = digits(source) {
            let rest = rest.strip_prefix('f')?;
            self.pieces.push(Piece::Fraction(digits));
            return Some(rest);
        }
        let specifier = source.chars().next()?;
        match specifier {
            'F' => self.push_all([Piece::Year, Piece::Month, Piece::Day], "-"),
            'T' => self.push_all([Piece::Hour, Piece::Minute, Piece::Second], ":"),
            'Y' => self.pieces.push(Piece::Year),
            'm' => self.pieces.push(Piece::Month),
            'd' => self.pieces.push(Piece::Day),
            'H' => self.pieces.push(Piece::Hour),
            'M' => self.pieces.push(Piece::Minute),
            'S' => self.pieces.push(Piece::Second),
            's' => self.pieces.push(Piece::Unix),
            'f' => self.pieces.push(Piece::Fraction(9)),
            _ => return None,
        }
        source.get(1..)
    }

    fn push_all(&mut self, pieces: [Piece; 3], between: &str) {
        for (index, piece) in pieces.into_iter().enumerate() {
            self.push_text(if index > 0 { between } else { "" });
            self.pieces.push(piece);
        }
    }
}

/// A digit from 1 to 9, and what follows it.
fn digits(source: &str) -> Option<(usize, &str)> {
    let digit = source.chars().next()?.to_digit(10).filter(|it| *it > 0)?;
    Some((usize::try_from(digit).ok()?, source.get(1..)?))
}

fn push_two(text: &mut String, number: u64) {
    text.push_str(&format!("{number:02}"));
}

/// Year, month and day of a day counted from 1970-01-01. The era of 400
/// years begins in March, so that the leap day is the last of a year
/// (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day - (153 * shifted + 2) / 5 + 1)
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => formatter.write_str(text)?,
                Piece::Year => formatter.write_str("%Y")?,
                Piece::Month => formatter.write_str("%m")?,
                Piece::Day => formatter.write_str("%d")?,
                Piece::Hour => formatter.write_str("%H")?,
                Piece::Minute => formatter.write_str("%M")?,
                Piece::Second => formatter.write_str("%S")?,
                Piece::Fraction(digits) => write!(formatter, "%{digits}f")?,
                Piece::Unix => formatter.write_str("%s")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn print(format: &str, unix_ns: u64) -> String {
        TimeFormat::parse(format).unwrap().print(unix_ns)
    }

    #[test]
    fn times_are_printed_in_utc() {
        // 2026-11-21T08:30:15.123456789Z
        let time = 1_795_249_815_123_456_789;
        assert_eq!(print(TimeFormat::DEFAULT, time), "2026-11-21T08:30:15.123Z");
        assert_eq!(print("%F %T.%6f", time), "2026-11-21 08:30:15.123456");
        assert_eq!(print("%s.%3f", time), "1795249815.123");
        assert_eq!(print("%f", time), "123456789");
        assert_eq!(print("%F", 0), "1970-01-01");
        // 29 February of a leap year that is a century.
        assert_eq!(print("%F", 951_782_400_000_000_000), "2000-02-29");
        assert_eq!(print("%F", 951_868_800_000_000_000), "2000-03-01");
        assert_eq!(print("%F", u64::MAX), "2554-07-21");
    }

    #[test]
    fn unknown_specifiers_are_refused() {
        for format in ["%", "%Q", "%0f", "%E0S", "%E3", "%ES", "%3", "%%", "%ä"] {
            assert!(TimeFormat::parse(format).is_err(), "{format}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(source in "[%YmdHMSsfFTE1-9.: ]{0,20}") {
            if let Ok(format) = TimeFormat::parse(&source) {
                prop_assert_eq!(TimeFormat::parse(&format.to_string()), Ok(format));
            }
        }

        #[test]
        fn days_follow_each_other(day in 0_u64..200_000) {
            let (year, month, of_month) = date(day);
            let (next_year, next_month, next_of_month) = date(day + 1);
            let same_month = next_of_month == of_month + 1 && (next_year, next_month) == (year, month);
            let next = next_of_month == 1 && (next_year * 12 + next_month == year * 12 + month + 1);
            prop_assert!((same_month || next) && (1..=12).contains(&month) && (1..=31).contains(&of_month));
        }
    }
}
