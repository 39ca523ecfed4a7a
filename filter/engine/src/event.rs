//! One event, while the engine handles it.

use crate::action::Action;
use crate::host::Host;
use crate::host::metrics::{CounterId, GaugeId};

/// What every decision about an event needs: the host, which is asked, the
/// actions, which it performs afterwards, and the time.
#[derive(Debug)]
pub struct Event<'a, H> {
    pub(crate) host: &'a mut H,
    pub(crate) out: &'a mut Vec<Action>,
    /// The host is asked for it once: all that an event decides it decides at
    /// one time.
    now_ns: Option<u64>,
}

impl<'a, H: Host> Event<'a, H> {
    /// An event of this host, whose actions are added to `out`.
    pub fn new(host: &'a mut H, out: &'a mut Vec<Action>) -> Self {
        Self {
            host,
            out,
            now_ns: None,
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
}

impl<H> Event<'_, H> {
    /// Adds one to a counter.
    pub(crate) fn count(&mut self, counter: CounterId) {
        self.out.push(Action::Count(counter));
    }

    /// Changes a gauge by so much.
    pub(crate) fn adjust(&mut self, gauge: GaugeId, by: i64) {
        self.out.extend(Action::adjust(gauge, by));
    }
}
