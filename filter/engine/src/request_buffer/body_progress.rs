//! The account of one request's body on its way in.

/// How much of a body has come, and whether it is held until all of it is
/// there. Times are in nanoseconds of the host's monotonic clock.
#[derive(Debug)]
pub(crate) struct Intake {
    course: Course,
    limit: u64,
    declared: Option<u64>,
    received: u64,
    complete: bool,
    /// When its time began to run, and how it runs.
    began: Option<(u64, Pace)>,
    /// Something of it has been seen.
    pub(crate) heard: bool,
    /// Bytes that are taken from the pool for it.
    pub(crate) held: u64,
    /// When the host was asked to wake it.
    pub(crate) wake_at: Option<u64>,
}

/// What becomes of a body while it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is held until all of it is there.
    Gathered,
    /// The headers have gone on and ask for a tunnel. Until somebody accepts,
    /// the host keeps what comes.
    Awaiting,
    /// It is counted as it passes.
    Passing,
}

/// How fast a body must come, and by when it must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Bytes per second, at least one, and the time to spare.
    pub(crate) rate: Option<(u64, u64)>,
    pub(crate) longest: Option<u64>,
}

/// The body is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

const SECOND_NS: u64 = 1_000_000_000;

/// What is taken from the pool at once for a body of unknown length: asking
/// for each piece would cost more than it saves.
const STEP: u64 = 64 * 1024;

impl Intake {
    /// A body of up to `limit` bytes, whose length the client may have
    /// declared.
    pub(crate) fn new(course: Course, limit: u64, declared: Option<u64>) -> Self {
        Self {
            course,
            limit,
            declared,
            received: 0,
            complete: false,
            began: None,
            heard: false,
            held: 0,
            wake_at: None,
        }
    }

    /// Whether the body is held until it is complete.
    pub(crate) fn gathers(&self) -> bool {
        self.course == Course::Gathered
    }

    /// Whether the host keeps what comes, be it for us or for the upstream.
    pub(crate) fn is_kept(&self) -> bool {
        self.course != Course::Passing
    }

    /// Whether the client has said how much there will be, and may be held to
    /// it. (Nothing tells when a tunnel's first bytes are due.)
    pub(crate) fn is_timed(&self) -> bool {
        match self.course {
            Course::Gathered => true,
            Course::Awaiting => self.declared.is_some_and(|length| length > 0),
            Course::Passing => false,
        }
    }

    /// Its time runs no longer.
    pub(crate) fn stop_clock(&mut self) {
        self.began = None;
        self.wake_at = None;
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

    /// Bytes arrived. `at_hand` is what the host holds: of a body that is
    /// gathered all of it so far, else only what is new.
    pub(crate) fn take_in(&mut self, at_hand: u64, end: bool) -> Result<(), TooLarge> {
        self.heard = true;
        self.received = if self.gathers() {
            self.received.max(at_hand)
        } else {
            self.received.saturating_add(at_hand)
        };
        // Behind a request for a tunnel, bytes are not framed: nothing else
        // says that all have come.
        let is_whole = || self.declared.is_some_and(|length| self.received >= length);
        self.complete |= end || (self.course == Course::Awaiting && is_whole());
        self.check(self.received)
    }

    /// Its time runs from `now`, if it does not run yet.
    pub(crate) fn begin(&mut self, now: u64, pace: Pace) {
        self.began.get_or_insert((now, pace));
    }

    /// When its time runs.
    pub(crate) fn began(&self) -> Option<u64> {
        self.began.map(|(began, _)| began)
    }

    /// When it is too slow unless more has come by then; each byte moves this
    /// on, but never beyond the longest time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let (began, pace) = self.began.filter(|_| !self.complete)?;
        let by_rate = pace.rate.map(|(rate, grace)| {
            began
                .saturating_add(grace)
                .saturating_add(time_of(self.received, rate))
        });
        let longest = pace.longest.map(|longest| began.saturating_add(longest));
        by_rate.into_iter().chain(longest).min()
    }

    /// How much more must be taken from the pool: a declared length as a
    /// whole once its time runs, so that whoever is let in gets through, else
    /// what has come, in steps.
    pub(crate) fn lacks(&self) -> u64 {
        let declared = self.declared.filter(|_| self.began.is_some());
        let wanted = match declared {
            Some(length) => length.max(self.received),
            None if self.received <= self.held => self.received,
            None => self.received.next_multiple_of(STEP).min(self.limit),
        };
        wanted.saturating_sub(self.held)
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
        for course in [Course::Gathered, Course::Awaiting, Course::Passing] {
            let mut intake = Intake::new(course, 10, None);
            assert_eq!(intake.take_in(10, false), Ok(()));
            let more = if intake.gathers() { 11 } else { 1 };
            assert_eq!(intake.take_in(more, false), Err(TooLarge));
            assert_eq!(Intake::new(course, 10, Some(10)).check_declared(), Ok(()));
            assert_eq!(
                Intake::new(course, 10, Some(11)).check_declared(),
                Err(TooLarge)
            );
        }
    }

    #[test]
    fn each_byte_buys_time_and_nothing_buys_more_than_the_longest() {
        let mut intake = Intake::new(Course::Gathered, u64::MAX, None);
        assert_eq!(intake.deadline(), None);
        let pace = Pace {
            rate: Some((100, 5 * SECOND)),
            longest: Some(60 * SECOND),
        };
        intake.begin(SECOND, pace);
        assert_eq!(intake.deadline(), Some(6 * SECOND));
        assert_eq!(intake.take_in(50, false), Ok(()));
        assert_eq!(intake.deadline(), Some(6 * SECOND + SECOND / 2));
        assert_eq!(intake.take_in(u64::MAX, false), Ok(()));
        assert_eq!(intake.deadline(), Some(61 * SECOND));
        assert_eq!(intake.take_in(0, true), Ok(()));
        assert_eq!(intake.deadline(), None);
    }

    proptest! {
        /// A client that always sends at the rate or faster is never late,
        /// and one that sends at half the rate is late by twice the grace.
        #[test]
        fn the_rate_is_kept_exactly(
            rate in 1_u64..1_000_000, grace in 1_u64..10 * SECOND, seconds in 1_u64..1_000,
        ) {
            let at = |sent: u64| {
                let mut intake = Intake::new(Course::Gathered, u64::MAX, None);
                intake.begin(0, Pace { rate: Some((rate, grace)), longest: None });
                intake.take_in(sent, false).map(|()| intake.deadline().unwrap())
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
            let mut intake = Intake::new(Course::Gathered, limit, None);
            let mut sum = 0;
            for piece in pieces {
                sum += piece;
                if intake.take_in(sum, false).is_err() {
                    prop_assert!(sum > limit);
                    break;
                }
                intake.held += intake.lacks();
                prop_assert!(intake.held >= sum && intake.held < sum + STEP);
                prop_assert_eq!(intake.lacks(), 0);
            }
        }
    }
}
