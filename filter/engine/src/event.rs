//! One event, while the engine handles it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::action::Action;
use crate::decision::{self, Decided, Value};
use crate::host::metrics::{CounterId, GaugeId, HistogramId, Labels, Series};
use crate::host::{Attribute, Host};

/// What every decision about an event needs: the host, which is asked, the
/// actions, which it performs afterwards, and the time.
#[derive(Debug)]
pub struct Event<'a, H> {
    pub(crate) host: &'a mut H,
    pub(crate) out: &'a mut Vec<Action>,
    /// The host's time, read once: all decisions about an event have the same time.
    now_ns: Option<u64>,
    /// The counters, by whose labels the access log names policies and rules; `None` if
    /// it is told nothing.
    logged: Option<&'a [Series]>,
}

/// What an operator should know whenever it happens, but is logged at most once a
/// minute by all workers that share a plan.
#[derive(Debug)]
pub(crate) struct LogMessage {
    text: Arc<str>,
    throttle: LogThrottle,
}

/// Lets one message a minute through, of all workers that share it, and counts the others.
#[derive(Debug, Default)]
pub struct LogThrottle {
    /// Until then nothing is logged again.
    quiet_until: AtomicU64,
    /// How often it was left out since.
    left_out: AtomicU64,
}

/// How often a message was left out before the one at hand. Its text goes behind the
/// message's; it is empty for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut(u64);

const QUIET_NS: u64 = 60_000_000_000;

impl<'a, H: Host> Event<'a, H> {
    /// An event of this host, whose actions are added to `out`.
    pub fn new(host: &'a mut H, out: &'a mut Vec<Action>) -> Self {
        Self {
            host,
            out,
            now_ns: None,
            logged: None,
        }
    }

    /// The same event, of whose decisions the access log is told.
    pub(crate) fn logged_as(self, counters: Option<&'a [Series]>) -> Self {
        Self {
            logged: counters,
            ..self
        }
    }

    /// The time on the host's monotonic clock.
    #[inline(never)]
    pub(crate) fn now_ns(&mut self) -> u64 {
        match self.now_ns {
            Some(now_ns) => now_ns,
            None => *self.now_ns.insert(self.host.now_ns()),
        }
    }

    /// Counts a decision, and tells the access log.
    pub(crate) fn decided(&mut self, counter: CounterId, decided: Decided, value: Value) {
        self.count(counter);
        self.note(counter, decided, value);
    }

    /// Tells the access log what was decided by the policy or the rule of this counter.
    pub(crate) fn note(&mut self, counter: CounterId, decided: Decided, value: Value) {
        let index = usize::try_from(counter.0).unwrap_or(usize::MAX);
        if let Some(series) = self.logged.and_then(|counters| counters.get(index)) {
            self.note_of(&series.labels, decided, value);
        }
    }

    /// Tells the access log what was decided by the policy or the rule with these labels.
    pub(crate) fn note_of(&mut self, labels: &Labels, decided: Decided, value: Value) {
        if self.logged.is_none() {
            return;
        }
        let waiting = self.out.iter_mut().find_map(|action| match action {
            Action::LogDecisions(text) => Some(text),
            _ => None,
        });
        if let Some(text) = waiting {
            decision::add(text, labels, decided, value);
            return;
        }
        let text = self.host.attribute(Attribute::LoggedDecisions);
        let mut text = text.unwrap_or_default().into_owned();
        if decision::add(&mut text, labels, decided, value) {
            self.out.push(Action::LogDecisions(text));
        }
    }

    /// Tells the operator, if it has not just been done.
    #[cold]
    pub(crate) fn log(&mut self, message: &LogMessage) {
        let text = match message.throttle.admit(self.now_ns()) {
            None => return,
            Some(LeftOut(0)) => Arc::clone(&message.text),
            Some(left_out) => format!("{}{left_out}", message.text).into(),
        };
        self.out.push(Action::Log(text));
    }
}

impl<H> Event<'_, H> {
    /// Adds one to a counter.
    pub(crate) fn count(&mut self, counter: CounterId) {
        self.out.push(Action::Count(counter));
    }

    /// Puts a time into a histogram.
    pub(crate) fn record_ms(&mut self, histogram: HistogramId, nanos: u64) {
        self.out.push(Action::record_ms(histogram, nanos));
    }

    /// Changes a gauge by so much.
    pub(crate) fn adjust(&mut self, gauge: GaugeId, by: i64) {
        self.out.extend(Action::adjust(gauge, by));
    }
}

impl LogMessage {
    pub(crate) fn new(text: String) -> Self {
        Self {
            text: text.into(),
            throttle: LogThrottle::default(),
        }
    }
}

impl LogThrottle {
    /// Whether a message is logged at this time, in nanoseconds of the host's
    /// monotonic clock; then none is for a minute. `None`: it is left out.
    pub fn admit(&self, now: u64) -> Option<LeftOut> {
        let order = Ordering::Relaxed;
        let until = self.quiet_until.load(order);
        let next = now.saturating_add(QUIET_NS);
        // Whoever gets in between logs it.
        if now >= until && (self.quiet_until.compare_exchange(until, next, order, order)).is_ok() {
            return Some(LeftOut(self.left_out.swap(0, order)));
        }
        self.left_out.fetch_add(1, order);
        None
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(formatter, " ({count} more since this was last logged)"),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::{LeftOut, LogThrottle};

    #[test]
    fn a_message_is_logged_once_a_minute_and_says_how_often_it_was_not() {
        let throttle = LogThrottle::default();
        let second = 1_000_000_000;
        let times = [5, 5, 64, 65, 66, 125, 185].map(|at| throttle.admit(at * second));
        let left_out = |count| Some(LeftOut(count));
        let wanted = [
            left_out(0),
            None,
            None,
            left_out(2),
            None,
            left_out(1),
            left_out(0),
        ];
        assert_eq!(times, wanted);
        assert_eq!(LogThrottle::default().admit(0), left_out(0));
        let text = format!("m{}, m{}", LeftOut(0), LeftOut(37));
        assert_eq!(text, "m, m (37 more since this was last logged)");
    }
}
