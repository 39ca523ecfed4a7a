//! How much of one request's body has arrived.

/// How much of a body has come, and whether it is held until all of it is
/// there. Times are in nanoseconds of the host's monotonic clock.
#[derive(Debug)]
pub(crate) struct BodyProgress {
    mode: BodyMode,
    limit: u64,
    declared: Option<u64>,
    received: u64,
    complete: bool,
    /// When its clock started, and how it runs.
    started: Option<(u64, BodyTimeouts)>,
    /// Bytes of the quota that are reserved for it.
    pub(crate) reserved: u64,
    /// When to check it again. More data does not change this.
    wakes_at: Option<u64>,
}

/// How a body is treated while it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyMode {
    /// It is held until all of it is there.
    Buffered,
    /// The headers have gone on and request a tunnel. Until the upstream accepts it, the
    /// host keeps the data.
    AwaitingTunnel,
    /// It is counted as it passes.
    Streamed,
}

/// How fast a body must come, and by when it must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BodyTimeouts {
    /// Bytes per second, at least one, and the time to spare.
    pub(crate) min_rate: Option<(u64, u64)>,
    pub(crate) max_duration: Option<u64>,
}

/// The body is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

const SECOND_NS: u64 = 1_000_000_000;

/// What is reserved at once for a body of unknown length: asking for each piece
/// would cost more than it saves.
const STEP: u64 = 64 * 1024;

impl BodyProgress {
    /// A body of up to `limit` bytes, whose length the client may have
    /// declared.
    pub(crate) fn new(mode: BodyMode, limit: u64, declared: Option<u64>) -> Self {
        Self {
            mode,
            limit,
            declared,
            received: 0,
            complete: false,
            started: None,
            reserved: 0,
            wakes_at: None,
        }
    }

    /// Whether the body is held until it is complete.
    pub(crate) fn buffers(&self) -> bool {
        self.mode == BodyMode::Buffered
    }

    /// Whether the host keeps what comes, be it for us or for the upstream.
    pub(crate) fn is_kept_by_host(&self) -> bool {
        self.mode != BodyMode::Streamed
    }

    /// Whether the client has said how much there will be, and may be held to
    /// it. (Nothing tells when a tunnel's first bytes are due.)
    pub(crate) fn is_timed(&self) -> bool {
        match self.mode {
            BodyMode::Buffered => true,
            BodyMode::AwaitingTunnel => self.declared.is_some_and(|length| length > 0),
            BodyMode::Streamed => false,
        }
    }

    /// Its clock stops.
    pub(crate) fn stop_clock(&mut self) {
        self.started = None;
        self.wakes_at = None;
    }

    /// Whether all of it is there.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The length to declare to the upstream, if the client did not.
    pub(crate) fn undeclared_length(&self) -> Option<u64> {
        self.declared.is_none().then_some(self.received)
    }

    /// Judges the length that the client declared.
    pub(crate) fn check_declared(&self) -> Result<(), TooLarge> {
        self.check(self.declared.unwrap_or(0))
    }

    /// So many more bytes arrived.
    pub(crate) fn on_data(&mut self, bytes: u64, end: bool) -> Result<(), TooLarge> {
        self.received = self.received.saturating_add(bytes);
        // Behind a request for a tunnel, bytes are not framed: nothing else
        // says that all have come.
        let is_whole = || self.declared.is_some_and(|length| self.received >= length);
        self.complete |= end || (self.mode == BodyMode::AwaitingTunnel && is_whole());
        self.check(self.received)
    }

    /// Its clock starts, if it does not run yet.
    pub(crate) fn start_clock(&mut self, now: u64, timeouts: BodyTimeouts) {
        self.started.get_or_insert((now, timeouts));
        self.wakes_at = self.deadline();
    }

    /// When its clock started, if it runs.
    pub(crate) fn started(&self) -> Option<u64> {
        self.started.map(|(started, _)| started)
    }

    /// When to check it again, if necessary.
    pub(crate) fn wakes_at(&self) -> Option<u64> {
        self.wakes_at
    }

    /// Looks at it: whether it is too slow.
    pub(crate) fn is_late(&mut self, now: u64) -> bool {
        let deadline = self.deadline();
        self.wakes_at = deadline;
        deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When it is too slow unless more has come by then; each byte moves this
    /// on, but never beyond the longest time.
    fn deadline(&self) -> Option<u64> {
        let (started, timeouts) = self.started.filter(|_| !self.complete)?;
        let by_rate = timeouts.min_rate.map(|(rate, grace)| {
            started
                .saturating_add(grace)
                .saturating_add(time_of(self.received, rate))
        });
        let longest = timeouts
            .max_duration
            .map(|longest| started.saturating_add(longest));
        by_rate.into_iter().chain(longest).min()
    }

    /// How much more must be reserved: a declared length as a whole once its clock
    /// runs, so that a body that is admitted gets through, else what has come, in
    /// steps.
    pub(crate) fn missing(&self) -> u64 {
        let declared = self.declared.filter(|_| self.started.is_some());
        let wanted = match declared {
            Some(length) => length.max(self.received),
            None if self.received <= self.reserved => self.received,
            None => self.received.next_multiple_of(STEP).min(self.limit),
        };
        wanted.saturating_sub(self.reserved)
    }

    fn check(&self, bytes: u64) -> Result<(), TooLarge> {
        if bytes > self.limit {
            return Err(TooLarge);
        }
        Ok(())
    }
}

/// How long so many bytes take at so many a second. Exact up to 18 GB/s.
fn time_of(bytes: u64, rate: u64) -> u64 {
    let rate = rate.max(1);
    let (seconds, rest) = (bytes / rate, bytes % rate);
    let nanos = match rest.checked_mul(SECOND_NS) {
        Some(nanos) => nanos / rate,
        None => rest / (rate / SECOND_NS).max(1),
    };
    seconds.saturating_mul(SECOND_NS).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn exactly_the_limit_is_fine() {
        for mode in [
            BodyMode::Buffered,
            BodyMode::AwaitingTunnel,
            BodyMode::Streamed,
        ] {
            let mut progress = BodyProgress::new(mode, 10, None);
            assert_eq!(progress.on_data(10, false), Ok(()));
            assert_eq!(progress.on_data(1, false), Err(TooLarge));
            assert_eq!(
                BodyProgress::new(mode, 10, Some(10)).check_declared(),
                Ok(())
            );
            assert_eq!(
                BodyProgress::new(mode, 10, Some(11)).check_declared(),
                Err(TooLarge)
            );
        }
    }

    #[test]
    fn each_byte_buys_time_and_nothing_buys_more_than_the_longest() {
        let mut progress = BodyProgress::new(BodyMode::Buffered, u64::MAX, None);
        assert_eq!(progress.deadline(), None);
        let timeouts = BodyTimeouts {
            min_rate: Some((100, 5 * SECOND)),
            max_duration: Some(60 * SECOND),
        };
        progress.start_clock(SECOND, timeouts);
        assert_eq!(progress.deadline(), Some(6 * SECOND));
        assert_eq!(progress.on_data(50, false), Ok(()));
        assert_eq!(progress.deadline(), Some(6 * SECOND + SECOND / 2));
        assert_eq!(progress.on_data(u64::MAX, false), Ok(()));
        assert_eq!(progress.deadline(), Some(61 * SECOND));
        assert_eq!(progress.on_data(0, true), Ok(()));
        assert_eq!(progress.deadline(), None);
    }

    proptest! {
        /// A client that always sends at the rate or faster is never late,
        /// and one that sends at half the rate is late by twice the grace.
        #[test]
        fn the_rate_is_kept_by_host_exactly(
            rate in 1_u64..1_000_000, grace in 1_u64..10 * SECOND, seconds in 1_u64..1_000,
        ) {
            let at = |sent: u64| {
                let mut progress = BodyProgress::new(BodyMode::Buffered, u64::MAX, None);
                progress.start_clock(0, BodyTimeouts { min_rate: Some((rate, grace)), max_duration: None });
                progress.on_data(sent, false).map(|()| progress.deadline().unwrap())
            };
            let now = seconds * SECOND;
            prop_assert!(at(rate * seconds).unwrap() >= now);
            let late = 2 * grace + 2 * SECOND;
            prop_assert!(at(rate * (late / SECOND) / 2).unwrap() <= late);
        }

        #[test]
        fn time_is_bytes_by_rate(bytes in any::<u64>(), rate in 1_u64..18_000_000_000) {
            let exact = u128::from(bytes) * u128::from(SECOND) / u128::from(rate);
            prop_assert_eq!(time_of(bytes, rate), u64::try_from(exact).unwrap_or(u64::MAX));
        }

        #[test]
        fn what_is_taken_covers_what_is_there_and_little_more(
            pieces in proptest::collection::vec(0_u64..200_000, 1..30), limit in 1_u64..2_000_000,
        ) {
            let mut progress = BodyProgress::new(BodyMode::Buffered, limit, None);
            let mut sum = 0;
            for piece in pieces {
                sum += piece;
                if progress.on_data(piece, false).is_err() {
                    prop_assert!(sum > limit);
                    break;
                }
                progress.reserved += progress.missing();
                prop_assert!(progress.reserved >= sum && progress.reserved < sum + STEP);
                prop_assert_eq!(progress.missing(), 0);
            }
        }
    }
}
