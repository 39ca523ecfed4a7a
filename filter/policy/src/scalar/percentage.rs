//! Percentages in whole parts per million, Envoy's finest step.

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;

/// A share in parts per million, 0 to 1,000,000.
///
/// Source: Envoy's `FractionalPercent` with denominator `MILLION`; the API
/// writes percent with four decimals (0.0001 % is one part per million).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ppm(u32);

impl Ppm {
    /// Always.
    pub const ALWAYS: Self = Self(1_000_000);
    /// Never.
    pub const NEVER: Self = Self(0);

    /// Parts per million.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The nearest share to `percent`, or `None` outside 0..=100 and for a
    /// positive share that would round down to never.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1,000,000 by the check above"
        )]
        let ppm = (percent * 10_000.0).round() as u32;
        (ppm > 0 || percent == 0.0).then_some(Self(ppm))
    }

    /// Reads a percentage, 0 to 100.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let percent = at.number(problems)?;
        let ppm = Self::from_percent(percent);
        if ppm.is_none() {
            at.refuse(
                problems,
                Code::MalformedPercentage,
                "must be a percentage from 0 to 100, in steps of 0.0001",
            );
        }
        ppm
    }
}

/// A whole percentage as text, `0%` to `100%`.
#[must_use]
pub fn whole_percent(text: &str) -> Option<u8> {
    let digits = text.strip_suffix('%')?;
    let is_plain = digits == "0"
        || !digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit());
    let percent: u8 = digits.parse().ok().filter(|_| is_plain)?;
    (percent <= 100).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::Ppm;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn rounds_to_the_nearest_part() {
        let ppm = |percent| Ppm::from_percent(percent).map(Ppm::get);
        assert_eq!(ppm(0.0), Some(0));
        assert_eq!(ppm(0.0001), Some(1));
        assert_eq!(ppm(0.29), Some(2900));
        assert_eq!(ppm(33.3333), Some(333_333));
        assert_eq!(ppm(100.0), Some(1_000_000));
    }

    #[test]
    fn refuses_what_lies_outside_or_rounds_to_never() {
        for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY, 0.000_01] {
            assert_eq!(Ppm::from_percent(percent), None, "{percent}");
        }
    }
}
