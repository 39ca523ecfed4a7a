//! The faults that a request requests by `x-envoy-fault-…` headers (`headerControl`).
//!
//! Source: Envoy's fault filter, "Controlling fault injection via HTTP headers". A value
//! that is not a number in the right range requests nothing.

use btp_policy::scalar::{HttpStatus, Ppm};
use btp_policy::spec::{AbortStatus, HeaderControl};

use crate::request::Request;

const DELAY: &str = "x-envoy-fault-delay-request";
const DELAY_SHARE: &str = "x-envoy-fault-delay-request-percentage";
const ABORT: &str = "x-envoy-fault-abort-request";
const ABORT_GRPC: &str = "x-envoy-fault-abort-grpc-request";
const ABORT_SHARE: &str = "x-envoy-fault-abort-request-percentage";

/// The headers, which the upstream never sees.
pub(crate) const HEADERS: [&str; 5] = [DELAY, DELAY_SHARE, ABORT, ABORT_GRPC, ABORT_SHARE];

const NANOS_PER_MS: u64 = 1_000_000;

/// The faults that a request requests, within the policy's bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestedFault {
    /// A delay of so many nanoseconds for this share of such requests.
    pub(crate) delay: Option<(u64, Ppm)>,
    /// An abort of this share of such requests.
    pub(crate) abort: Option<(AbortStatus, Ppm)>,
    /// There are such headers, whatever they say.
    pub(crate) present: bool,
}

impl RequestedFault {
    pub(crate) fn of(request: &Request<'_>, control: &HeaderControl) -> Self {
        let number = |name: &str| number(&request.header(name)?);
        let share = |name: &str, most: Ppm| match number(name) {
            Some(percent) => most.min(percent_or_all(percent)),
            None => most,
        };
        let delay = control.delay.and_then(|(longest, most)| {
            let nanos = number(DELAY)?.saturating_mul(NANOS_PER_MS);
            Some((nanos.min(longest.as_nanos()), share(DELAY_SHARE, most)))
        });
        let abort = control.abort.and_then(|most| {
            let http = || HttpStatus::new(u16::try_from(number(ABORT)?).ok()?);
            let grpc = || u8::try_from(number(ABORT_GRPC)?).ok();
            let status = http()
                .map(AbortStatus::Http)
                .or_else(|| grpc().filter(|code| *code <= 16).map(AbortStatus::Grpc))?;
            Some((status, share(ABORT_SHARE, most)))
        });
        Self {
            delay,
            abort,
            present: HEADERS.iter().any(|name| request.header(name).is_some()),
        }
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn percent_or_all(percent: u64) -> Ppm {
    let percent = u32::try_from(percent).map_or(100.0, |percent| f64::from(percent.min(100)));
    Ppm::from_percent(percent).unwrap_or(Ppm::ALWAYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::scalar::Duration;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const MS: u64 = 1_000_000;

    fn control() -> HeaderControl {
        HeaderControl {
            delay: Some((Duration::from_millis(1000), Ppm::ALWAYS)),
            abort: Ppm::from_percent(50.0),
        }
    }

    fn asked(headers: &[(&str, &str)]) -> RequestedFault {
        let headers: Vec<(&[u8], &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        RequestedFault::of(&Request::new(&headers, None), &control())
    }

    #[test]
    fn a_delay_within_its_bounds() {
        for (value, nanos) in [("20", 20 * MS), ("0", 0), ("5000", 1000 * MS)] {
            let delay = asked(&[(DELAY, value)]).delay;
            assert_eq!(delay, Some((nanos, Ppm::ALWAYS)), "{value}");
        }
        let share = |value| asked(&[(DELAY, "1"), (DELAY_SHARE, value)]).delay;
        assert_eq!(share("0"), Some((MS, Ppm::NEVER)));
        assert_eq!(share("7").map(|it| it.1.get()), Some(70_000));
        assert_eq!(share("101"), Some((MS, Ppm::ALWAYS)));
        assert_eq!(share("some"), Some((MS, Ppm::ALWAYS)));
    }

    #[test]
    fn an_abort_never_above_the_share_of_the_policy() {
        let half = Ppm::from_percent(50.0).unwrap();
        let http = AbortStatus::Http(HttpStatus::new(418).unwrap());
        assert_eq!(asked(&[(ABORT, "418")]).abort, Some((http, half)));
        let grpc = Some((AbortStatus::Grpc(14), half));
        assert_eq!(asked(&[(ABORT_GRPC, "14")]).abort, grpc);
        assert_eq!(
            asked(&[(ABORT, "199"), (ABORT_GRPC, "14"), (ABORT_SHARE, "90")]).abort,
            grpc
        );
    }

    #[test]
    fn what_is_no_number_asks_for_nothing() {
        for value in ["", "-1", "1.5", "+1", "99999999999999999999", "x", "1,2"] {
            let found = asked(&[(DELAY, value), (ABORT, value), (ABORT_GRPC, value)]);
            let nothing = RequestedFault {
                present: true,
                ..RequestedFault::default()
            };
            assert_eq!(found, nothing, "{value:?}");
        }
        assert_eq!(asked(&[(ABORT_GRPC, "17")]).abort, None);
        assert_eq!(asked(&[("x-other", "1")]), RequestedFault::default());
    }
}
