//! Durations and quantities in other units and spellings, converted to those of the API.
//! For messages only: no reader accepts them.

use crate::node::Value;

/// How the API reads and writes quantities.
#[derive(Clone, Copy)]
pub(super) struct Quantities {
    /// What a text is; `None`: it is no quantity.
    pub(super) parse: fn(&str) -> Option<u64>,
    pub(super) print: fn(u64) -> String,
}

/// Whether the API takes a text for a duration.
type IsDuration = fn(&str) -> bool;

/// An amount as people write it: digits, perhaps a fraction, perhaps a unit.
struct Amount<'a> {
    whole: &'a str,
    fraction: &'a str,
    unit: &'a str,
}

/// The API's units in milliseconds, the largest first.
const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// The API's suffixes by their first letter: decimal and binary.
const QUANTITIES: [(u8, &str, &str); 6] = [
    (b'k', "k", "Ki"),
    (b'm', "M", "Mi"),
    (b'g', "G", "Gi"),
    (b't', "T", "Ti"),
    (b'p', "P", "Pi"),
    (b'e', "E", "Ei"),
];

/// `reason`, and what was probably meant.
pub(super) fn with_meant(reason: &str, meant: &[String]) -> String {
    match meant {
        [] => reason.to_owned(),
        [first] => format!("{reason}; did you mean {first:?}?"),
        [first, second, ..] => format!("{reason}; did you mean {first:?} or {second:?}?"),
    }
}

/// The durations that `value` may mean: `5` is `5s` or `5ms`, `1.5sec` is `1500ms`.
pub(super) fn suggested_durations(value: &Value, is_right: IsDuration) -> Vec<String> {
    let number;
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Int(_) | Value::Float(_) => {
            number = value.excerpt();
            &number
        }
        _ => return Vec::new(),
    };
    let Some((first, rest)) = Amount::cut(text) else {
        return Vec::new();
    };
    if rest.is_empty() && first.unit.is_empty() {
        let seconds = first.duration("s", 1_000, is_right);
        // A fraction is one of seconds, as in Envoy's own configuration.
        let millis = Some(&first).filter(|it| it.fraction.is_empty() && !it.is_zero());
        let millis = millis.and_then(|it| it.duration("ms", 1, is_right));
        return seconds.into_iter().chain(millis).collect();
    }
    if rest.is_empty() {
        let meant = first
            .time()
            .and_then(|(unit, scale)| first.duration(unit, scale, is_right));
        return meant.into_iter().collect();
    }
    groups(text, is_right).into_iter().collect()
}

/// Several groups, in the API's units: `1 h 30 min` is `1h30m`.
fn groups(text: &str, is_right: IsDuration) -> Option<String> {
    let mut rest = text;
    let mut meant = String::new();
    while !rest.is_empty() {
        let (amount, tail) = Amount::cut(rest)?;
        let (unit, scale) = amount.time()?;
        meant.push_str(&amount.duration(unit, scale, is_right)?);
        rest = tail;
    }
    is_right(&meant).then_some(meant)
}

/// The quantities that `value` may mean: `1MB` is `1M` or `1Mi`, `1.5Gi` is `1536Mi`.
pub(super) fn suggested_quantities(value: &Value, api: Quantities) -> Vec<String> {
    let Value::String(text) = value else {
        return Vec::new();
    };
    let Some((amount, "")) = Amount::cut(text) else {
        return Vec::new();
    };
    let bytes = ["bytes", "byte", "b"];
    let unit = amount.unit.to_ascii_lowercase();
    let short = bytes.iter().find_map(|it| unit.strip_suffix(it));
    let unit = short.unwrap_or(&unit);
    let Some(letter) = unit.bytes().next() else {
        return amount.quantity("", api).into_iter().collect();
    };
    let Some((_, decimal, binary)) = QUANTITIES.iter().find(|(it, ..)| *it == letter) else {
        return Vec::new();
    };
    let suffixes: &[&str] = match unit.get(1..) {
        Some("i") => &[binary],
        // In the API's own letters only a fraction is wrong.
        Some("") if amount.unit == *decimal => &[decimal],
        Some("") => &[decimal, binary],
        _ => &[],
    };
    suffixes
        .iter()
        .filter_map(|it| amount.quantity(it, api))
        .collect()
}

impl<'a> Amount<'a> {
    /// The first amount in a text, and what comes behind it.
    fn cut(text: &'a str) -> Option<(Self, &'a str)> {
        let (whole, rest) = cut_digits(text.trim_start());
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => cut_digits(rest),
            None => ("", rest),
        };
        let rest = rest.trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, rest) = rest.split_at_checked(letters)?;
        let amount = Self {
            whole,
            fraction,
            unit,
        };
        (!whole.is_empty()).then_some((amount, rest.trim()))
    }

    fn is_zero(&self) -> bool {
        let digits = self.whole.bytes().chain(self.fraction.bytes());
        digits.into_iter().all(|digit| digit == b'0')
    }

    /// The amount in units of which one is `scale` of the smallest; `None` if that is
    /// not a whole number.
    fn times(&self, scale: u64) -> Option<u64> {
        let fraction = self.fraction.trim_end_matches('0');
        let digits = format!("{}{fraction}", self.whole).parse::<u64>().ok()?;
        let divisor = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let product = digits.checked_mul(scale)?;
        product.is_multiple_of(divisor).then(|| product / divisor)
    }

    /// The API's unit of time for this one's, and how many milliseconds it has.
    fn time(&self) -> Option<(&'static str, u64)> {
        let unit = self.unit.to_ascii_lowercase();
        Some(match unit.as_str() {
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => ("ms", 1),
            "s" | "sec" | "secs" | "second" | "seconds" => ("s", 1_000),
            "m" | "min" | "mins" | "minute" | "minutes" => ("m", 60_000),
            "h" | "hr" | "hrs" | "hour" | "hours" => ("h", 3_600_000),
            "d" | "day" | "days" => ("h", 86_400_000),
            _ => return None,
        })
    }

    /// The amount as a duration, in `unit` if it is whole in it.
    fn duration(&self, unit: &'static str, scale: u64, is_right: IsDuration) -> Option<String> {
        let millis = self.times(scale)?;
        let first = DURATIONS.iter().filter(|(name, _)| *name == unit);
        let mut units = first.chain(&DURATIONS);
        units.find_map(|(unit, scale)| {
            let text = format!("{}{unit}", millis / scale);
            (millis.is_multiple_of(*scale) && is_right(&text)).then_some(text)
        })
    }

    /// The amount as a quantity, with `suffix` if it is whole with it.
    fn quantity(&self, suffix: &str, api: Quantities) -> Option<String> {
        if self.fraction.is_empty() {
            let text = format!("{}{suffix}", self.whole.trim_start_matches('0'));
            return (api.parse)(&text).map(|_| text);
        }
        let one = (api.parse)(&format!("1{suffix}"))?;
        let amount = self.times(one).filter(|it| *it > 0)?;
        let text = (api.print)(amount);
        (api.parse)(&text).map(|_| text)
    }
}

fn cut_digits(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::scalar::{Duration, Quantity};
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn durations(json: &str) -> String {
        suggested_durations(
            &json::parse(json.as_bytes()).unwrap().value,
            Duration::is_right,
        )
        .join(" ")
    }

    fn quantities(json: &str) -> String {
        suggested_quantities(&json::parse(json.as_bytes()).unwrap().value, Quantity::API).join(" ")
    }

    #[test]
    fn durations_in_other_spellings() {
        for (written, meant) in [
            ("5", "5s 5ms"),
            ("\"5\"", "5s 5ms"),
            ("0", "0s"),
            ("0.25", "250ms"),
            ("\"0.250s\"", "250ms"),
            ("\"5sec\"", "5s"),
            ("\"5 seconds\"", "5s"),
            ("\"5S\"", "5s"),
            ("\"60sec\"", "60s"),
            ("\"1min\"", "1m"),
            ("\"100 msec\"", "100ms"),
            ("\"1.5h\"", "90m"),
            ("\"1d\"", "24h"),
            ("\"100000ms\"", "100s"),
            ("\"1h 30m\"", "1h30m"),
            ("\"1hr30min\"", "1h30m"),
            ("100000", "100s"),
            ("\"\"", ""),
            ("\"s\"", ""),
            ("\"-1s\"", ""),
            ("\"1us\"", ""),
            ("\"0.0001s\"", ""),
            ("\"soon\"", ""),
            ("\"1h1m1s1ms1s\"", ""),
            ("-5", ""),
            ("true", ""),
            ("\"9999999999999999s\"", ""),
        ] {
            assert_eq!(durations(written), meant, "{written}");
        }
    }

    #[test]
    fn quantities_in_other_spellings() {
        for (written, meant) in [
            ("\"1MB\"", "1M 1Mi"),
            ("\"1mb\"", "1M 1Mi"),
            ("\"1m\"", "1M 1Mi"),
            ("\"64K\"", "64k 64Ki"),
            ("\"64KB\"", "64k 64Ki"),
            ("\"1MiB\"", "1Mi"),
            ("\"16 Mi\"", "16Mi"),
            ("\"16mi\"", "16Mi"),
            ("\"1.5Mi\"", "1536Ki"),
            ("\"1.5M\"", "1500k"),
            ("\"0.5KiB\"", "512"),
            ("\"100 bytes\"", "100"),
            ("\"100B\"", "100"),
            ("\"010Ki\"", "10Ki"),
            ("\"0MB\"", ""),
            ("\"\"", ""),
            ("\"big\"", ""),
            ("\"1x\"", ""),
            ("\"99EB\"", ""),
            ("\"1 M 2 K\"", ""),
            ("5.5", ""),
        ] {
            assert_eq!(quantities(written), meant, "{written}");
        }
    }

    proptest! {
        #[test]
        fn what_is_meant_is_right(text in "[0-9]{1,18}(\\.[0-9]{1,10})? ?[a-zA-Z]{0,3}\\PC{0,3}") {
            let value = Value::String(text);
            for it in suggested_durations(&value, Duration::is_right) {
                prop_assert!(Duration::parse(&it).is_some(), "{}", it);
            }
            for it in suggested_quantities(&value, Quantity::API) {
                prop_assert!(Quantity::parse(&it).is_some(), "{}", it);
            }
        }
    }
}
