//! The token bucket as GCRA: the whole state of a bucket is one point in
//! time, at which it will be full again.
//!
//! A token is worth a length of time, `unit / requests`. Taking one moves the
//! point that far into the future; it may not lie further ahead than all
//! tokens together are worth. In any time x a bucket thus gives at most
//! burst + x / interval tokens. Refill is continuous, as in Envoy.
//!
//! Times are fixed-point numbers with 32 fractional bits (in
//! nanoseconds). The largest limit, 2³² − 1 requests per second, makes the
//! shortest interval: 0.23 ns, a billion of these units, so that rounding
//! it changes a rate by less than one part in 10⁹.
//!
//! A debt is known in time, and what a client has used is known in tokens: under
//! another limit the same number of tokens is another time ([`Gcra::as_full_as`]).

use std::num::NonZeroU32;

use crate::host::shared_state::Rate;

/// A point in time or a length of time, in units of 2⁻³² ns. Of the host's
/// monotonic clock, so that all workers agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fixed(u128);

/// How many tokens a bucket holds and how fast they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// The worth of a token.
    interval: Fixed,
    /// The worth of all tokens together.
    capacity: Fixed,
    rate: Rate,
    /// How long before they come back tokens may be taken.
    ahead: Fixed,
}

/// Tokens that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) tokens: u64,
    /// When the bucket will be full again.
    pub(crate) full_at: Fixed,
    /// Nanoseconds until they have come back, if they were taken ahead.
    pub(crate) wait_ns: u64,
}

/// There are not enough tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// Nanoseconds until there would be.
    pub(crate) wait_ns: u64,
    /// When the bucket will be full again.
    pub(crate) full_at: Fixed,
}

const FRACTION_BITS: u32 = 32;

impl Fixed {
    /// Whole nanoseconds.
    pub(crate) const fn from_ns(nanos: u64) -> Self {
        Self((nanos as u128) << FRACTION_BITS)
    }

    /// Whole nanoseconds, and 2⁻³² ns.
    pub(crate) fn parts(self) -> (u64, u32) {
        let whole = u64::try_from(self.0 >> FRACTION_BITS).unwrap_or(u64::MAX);
        let fraction = self.0 & u128::from(u32::MAX);
        (whole, u32::try_from(fraction).unwrap_or(u32::MAX))
    }

    /// The opposite of [`Self::parts`].
    pub(crate) const fn from_parts(whole: u64, fraction: u32) -> Self {
        Self((whole as u128) << FRACTION_BITS | fraction as u128)
    }

    /// Whole nanoseconds, rounded up.
    pub(crate) fn ceil_ns(self) -> u64 {
        let whole = self.0.div_ceil(1 << FRACTION_BITS);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    #[inline(never)]
    fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(count)))
    }

    /// This length of time, where a token is worth another one: as many tokens,
    /// rounded up.
    #[inline(never)]
    fn in_tokens_of(self, from: Self, to: Self) -> Self {
        let from = from.0.max(1);
        let whole = (self.0 / from).saturating_mul(to.0);
        // Neither factor has more than 88 bits, as a token comes back within 100 years;
        // where their product has more than 128, the lowest of `from` are left out.
        let rest = self.0 % from;
        let bits = |number: u128| u128::BITS - number.leading_zeros();
        let excess = (bits(rest) + bits(to.0)).saturating_sub(u128::BITS);
        let part = (rest.div_ceil(1 << excess))
            .saturating_mul(to.0)
            .div_ceil((from >> excess).max(1));
        Self(whole.saturating_add(part.min(to.0)))
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Gcra {
    /// A bucket of `burst` tokens, of which `requests` come back in `unit_ns`
    /// nanoseconds. All of them are at least 1.
    pub(crate) fn new(requests: u32, unit_ns: u64, burst: u32) -> Self {
        let rate = Rate {
            tokens: NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN),
            burst,
            period_ns: unit_ns,
        };
        let requests = u128::from(rate.tokens.get());
        let unit = Fixed::from_ns(unit_ns).0;
        let interval = Fixed((unit + requests / 2) / requests);
        Self {
            interval,
            capacity: interval.times(burst.into()),
            rate,
            ahead: Fixed::default(),
        }
    }

    /// A bucket with this limit, as other workers or an earlier configuration
    /// have it.
    pub(crate) fn of_rate(rate: Rate) -> Self {
        Self::new(rate.tokens.get(), rate.period_ns, rate.burst)
    }

    /// The limit that it was made from.
    pub(crate) fn rate(self) -> Rate {
        self.rate
    }

    /// When this bucket would be full again if as many tokens were missing in it as are in
    /// another one, be it more than it has: what was used stays used when a limit is
    /// raised or lowered. Rounded up by less than a millionth of a token.
    pub(crate) fn as_full_as(self, other: Self, full_at: Fixed, now_ns: u64) -> Fixed {
        let now = Fixed::from_ns(now_ns);
        let debt = full_at.minus(now);
        now.plus(match other.interval == self.interval {
            true => debt,
            false => debt.in_tokens_of(other.interval, self.interval),
        })
    }

    /// When a bucket is full again in which there is nothing now, and from which nothing
    /// can be taken ahead.
    pub(crate) fn empty(self, now_ns: u64) -> Fixed {
        let now = Fixed::from_ns(now_ns);
        now.plus(self.capacity).plus(self.ahead)
    }

    /// What others have taken under their limit, taken from this bucket, too. It does
    /// not become emptier than empty by that.
    pub(crate) fn charge(self, full_at: Fixed, tokens: u64, now_ns: u64) -> Fixed {
        let full_at = full_at.max(Fixed::from_ns(now_ns));
        let after = self.spend(full_at, tokens);
        after.min(self.empty(now_ns)).max(full_at)
    }

    /// The same, but up to `most` tokens may be taken before they come back,
    /// and at most `longest_ns` before.
    pub(crate) fn ahead(self, most: u64, longest_ns: u64) -> Self {
        let ahead = self.interval.times(most).min(Fixed::from_ns(longest_ns));
        Self { ahead, ..self }
    }

    /// The most tokens it holds.
    pub(crate) fn burst(self) -> u64 {
        self.rate.burst.into()
    }

    /// Nanoseconds until a bucket is full at the longest.
    pub(crate) fn longest_debt_ns(self) -> u64 {
        self.capacity.plus(self.ahead).ceil_ns()
    }

    /// Nanoseconds in which so many tokens come back, rounded up.
    pub(crate) fn refill_ns(self, tokens: u64) -> u64 {
        self.interval.times(tokens).ceil_ns()
    }

    /// Whether tokens of this bucket come back more slowly than the other's.
    pub(crate) fn is_slower_than(self, other: Self) -> bool {
        self.interval > other.interval
    }

    /// Takes as many tokens as there are, from `least` to `most`.
    pub(crate) fn take(
        self,
        full_at: Fixed,
        now_ns: u64,
        least: u64,
        most: u64,
    ) -> Result<Admitted, Denied> {
        let now = Fixed::from_ns(now_ns);
        let full_at = full_at.max(now);
        let soonest = now.plus(self.capacity);
        let latest = soonest.plus(self.ahead);
        let grant = |tokens| {
            let full_at = self.spend(full_at, tokens);
            Admitted {
                tokens,
                full_at,
                wait_ns: full_at.minus(soonest).ceil_ns(),
            }
        };
        let whole = grant(most);
        if whole.full_at <= latest {
            return Ok(whole);
        }
        let part = grant(least);
        if part.full_at > latest {
            let wait_ns = part.full_at.minus(latest).ceil_ns();
            return Err(Denied { wait_ns, full_at });
        }
        Ok(grant(self.tokens(full_at, now_ns)))
    }

    /// So many tokens are taken from a bucket that may be as empty as need be.
    pub(crate) fn spend(self, full_at: Fixed, tokens: u64) -> Fixed {
        full_at.plus(self.interval.times(tokens))
    }

    /// Puts tokens back. More than were taken do no harm: a bucket is never
    /// more than full.
    pub(crate) fn give_back(self, full_at: Fixed, tokens: u64) -> Fixed {
        full_at.minus(self.interval.times(tokens))
    }

    /// Whole tokens in the bucket.
    pub(crate) fn tokens(self, full_at: Fixed, now_ns: u64) -> u64 {
        let now = Fixed::from_ns(now_ns);
        let debt = full_at.max(now).minus(now);
        let rest = self.capacity.minus(debt);
        u64::try_from(rest.0 / self.interval.0.max(1)).unwrap_or(u64::MAX)
    }

    /// Nanoseconds until there are so many tokens, 0 if there are.
    pub(crate) fn wait_for(self, tokens: u64, full_at: Fixed, now_ns: u64) -> u64 {
        let now = Fixed::from_ns(now_ns);
        let after = self.spend(full_at.max(now), tokens);
        after.minus(now.plus(self.capacity)).ceil_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;
    const YEAR: u64 = 365 * 86_400 * SECOND;

    #[test]
    fn starts_full_and_refills_one_by_one() {
        let bucket = Gcra::new(3, 3_600 * SECOND, 3);
        let mut full_at = Fixed::default();
        for left in [2, 1, 0] {
            let admitted = bucket.take(full_at, 100, 1, 1).unwrap();
            full_at = admitted.full_at;
            assert_eq!(bucket.tokens(full_at, 100), left);
        }
        let denied = bucket.take(full_at, 100, 1, 1).unwrap_err();
        assert_eq!(denied.wait_ns, 1_200 * SECOND);
        assert!(bucket.take(full_at, 99 + denied.wait_ns, 1, 1).is_err());
        assert!(bucket.take(full_at, 100 + denied.wait_ns, 1, 1).is_ok());
    }

    #[test]
    fn gives_a_part_if_there_is_not_all() {
        let bucket = Gcra::new(10, SECOND, 10);
        let seven = bucket.take(Fixed::default(), 0, 7, 7).unwrap();
        assert_eq!(bucket.take(seven.full_at, 0, 1, 5).unwrap().tokens, 3);
        assert!(bucket.take(seven.full_at, 0, 4, 5).is_err());
        let back = bucket.give_back(seven.full_at, 2);
        assert_eq!(bucket.tokens(back, 0), 5);
    }

    #[test]
    fn as_many_tokens_are_missing_under_another_limit() {
        let (slow, fast) = (Gcra::new(1, YEAR, 1), Gcra::new(2, SECOND, 2));
        let empty = slow.take(Fixed::default(), 5, 1, 1).unwrap().full_at;
        let same = fast.as_full_as(slow, empty, 5);
        assert_eq!(
            (fast.tokens(same, 5), same),
            (1, Fixed::from_ns(5 + SECOND / 2))
        );
        assert_eq!(slow.as_full_as(fast, same, 5), empty);
        // A bucket that is full is full.
        assert_eq!(
            fast.as_full_as(slow, Fixed::from_ns(4), 5),
            Fixed::from_ns(5)
        );
    }

    /// One that another worker has emptied meanwhile.
    #[test]
    fn an_old_reading_of_the_clock_lets_nothing_more_pass() {
        const NOW: u64 = 100 * SECOND;
        let bucket = Gcra::new(10, SECOND, 30);
        let empty = bucket.take(Fixed::default(), NOW, 30, 30).unwrap().full_at;
        for late in [0, SECOND, 2 * SECOND] {
            let denied = bucket.take(empty, NOW - late, 1, 1).unwrap_err();
            assert_eq!(denied.wait_ns, late + SECOND / 10);
        }
    }

    proptest! {
        /// Over the whole range of requests and units.
        #[test]
        fn the_rate_is_exact_to_a_millionth(
            requests in 1_u32.., unit in prop::sample::select(vec![SECOND, 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND, YEAR]),
        ) {
            let bucket = Gcra::new(requests, unit, requests);
            let wanted = (u128::from(unit) << 32) as f64 / f64::from(requests);
            let error = (bucket.interval.0 as f64 - wanted).abs() / wanted;
            prop_assert!(error <= 1e-6, "{error}");
            prop_assert_eq!(bucket.tokens(Fixed::default(), 0), u64::from(requests));
        }

        /// From any limit to any other, to a millionth of a token, and never to fewer.
        #[test]
        fn a_change_of_the_limit_keeps_the_tokens_that_are_missing(
            requests: [u32; 2], units in prop::array::uniform2(prop::sample::select(vec![SECOND, 60 * SECOND, 86_400 * SECOND, YEAR])),
            burst in 1_u32.., used: f64,
        ) {
            let limit = |i: usize| Gcra::new(requests[i].max(1), units[i], burst);
            let (from, to) = (limit(0), limit(1));
            let tokens = |limit: Gcra, full_at: Fixed| full_at.0 as f64 / limit.interval.0 as f64;
            let full_at = Fixed((from.capacity.0 as f64 * used.abs().fract()) as u128);
            let same = to.as_full_as(from, full_at, 0);
            let (before, after) = (tokens(from, full_at), tokens(to, same));
            // Where an interval is a few units, rounding one up is much of it.
            let unit = 1.0 / to.interval.0 as f64;
            prop_assert!((before - after).abs() <= 1e-6 + before * 1e-12 + unit, "{before} {after}");
            prop_assert!(after >= before * (1.0 - 1e-12));
            let whole = from.interval.times(burst.into());
            prop_assert_eq!(to.as_full_as(from, whole, 0), to.interval.times(burst.into()));
        }

        /// In no time x are there more than burst + x / interval.
        #[test]
        fn no_window_admits_too_much(
            requests in 1_u32..50, burst in 1_u32..20, gaps in prop::collection::vec(0_u64..SECOND / 4, 1..200),
        ) {
            let bucket = Gcra::new(requests, SECOND, burst);
            let (mut full_at, mut now) = (Fixed::default(), 0);
            let mut admitted = Vec::new();
            for gap in gaps {
                now += gap;
                if let Ok(taken) = bucket.take(full_at, now, 1, 1) {
                    full_at = taken.full_at;
                    admitted.push(now);
                }
            }
            for (i, from) in admitted.iter().enumerate() {
                for (j, to) in admitted.iter().enumerate().skip(i) {
                    let most = u64::from(burst) * SECOND + (to - from) * u64::from(requests) + 1;
                    prop_assert!((j - i + 1) as u64 * SECOND <= most);
                }
            }
        }

        #[test]
        fn parts_make_the_whole(whole: u64, fraction: u32) {
            prop_assert_eq!(Fixed::from_parts(whole, fraction).parts(), (whole, fraction));
        }
    }
}
