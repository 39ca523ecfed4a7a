//! Points in time as RFC 3339 writes them: `2026-11-21T15:00:00Z`.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

const MS_PER_SECOND: u64 = 1_000;

/// Reads a time of the years 1970 to 9999; gives milliseconds since 1970.
pub fn read_timestamp(at: Cursor<'_>, problems: &mut Problems) -> Option<u64> {
    let time = parse(at.string(problems)?);
    if time.is_none() {
        let reason = "must be a time as RFC 3339 writes it, such as 2026-11-21T15:00:00Z or \
                      2026-11-21T16:00:00+01:00";
        at.refuse(problems, Code::MalformedTimestamp, reason);
    }
    time
}

/// A leap second (`:60`) is the second after it.
fn parse(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't'])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = fields(date, "-", [4, 2, 2])?;
    let [hour, minute, second] = fields(clock, ":", [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (millis, zone) = fraction(rest)?;
    let days = days_since_1970(year, month, day)?;
    let local = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let seconds = match offset_minutes(zone)? {
        minutes @ 0.. => local.checked_sub(u64::try_from(minutes).ok()? * 60)?,
        minutes => local + minutes.unsigned_abs() * 60,
    };
    Some(seconds * MS_PER_SECOND + millis)
}

/// Three numbers of exactly these many digits.
fn fields(text: &str, separator: &str, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        *number = digits_of(parts.next()?, digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn digits_of(text: &str, count: usize) -> Option<u64> {
    let plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// The milliseconds of a fraction, if there is one, and what follows it.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = rest.split_at_checked(digits).filter(|_| digits > 0)?;
    let millis = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(3)
        .fold(0, |millis, digit| millis * 10 + u64::from(digit - b'0'));
    Some((millis, zone))
}

/// How far local time is ahead of UTC.
fn offset_minutes(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, offset) = match zone.split_at_checked(1)? {
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes) = (digits_of(hours, 2)?, digits_of(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Some(sign * i64::try_from(hours * 60 + minutes).ok()?)
}

/// Days from 1970-01-01, or `None` if there is no such day.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE_1970: u64 = 719_162;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = *lengths.get(month)?;
    if !(1..=length).contains(&day) {
        return None;
    }
    let years = year.checked_sub(1)?;
    let before = years * 365 + years / 4 - years / 100 + years / 400;
    let days = lengths.iter().take(month).sum::<u64>() + day - 1;
    (before + days).checked_sub(BEFORE_1970)
}

#[cfg(test)]
mod tests {
    use super::parse;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn times_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t01:00:00.0019+01:00", 1),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("2024-02-29T23:59:59.5Z", 1_709_251_199_500),
            ("2026-11-21T15:00:00-00:30", 1_795_275_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(parse(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T15:00:00",
            "2026-11-21 15:00:00Z",
            "2026-11-21T15:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T15:00:61Z",
            "2026-02-29T15:00:00Z",
            "2026-13-01T15:00:00Z",
            "2026-00-01T15:00:00Z",
            "2026-11-00T15:00:00Z",
            "2026-11-21T15:00:00.Z",
            "2026-11-21T15:00:00+1:00",
            "2026-11-21T15:00:00+24:00",
            "2026-11-21T15:00:00Zulu",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "+026-11-21T15:00:00Z",
            "2026-11-21T15:00:0äZ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
