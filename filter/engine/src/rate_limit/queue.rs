//! The metrics of requests that wait for their tokens.

use crate::decision::{Decided, Value};
use crate::definitions::Definitions;
use crate::event::Event;
use crate::host::Host;
use crate::host::metrics::{CounterId, HistogramId, Labels, families};

/// The metrics of a rule's queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueMetrics {
    queued: CounterId,
    milliseconds: HistogramId,
}

impl QueueMetrics {
    pub(super) fn define(rule: &Labels, definitions: &mut Definitions) -> Self {
        Self {
            queued: definitions.counter(families::RATE_LIMIT_QUEUED, rule.clone()),
            milliseconds: definitions
                .histogram(families::RATE_LIMIT_QUEUE_MILLISECONDS, rule.clone()),
        }
    }

    /// A request has to wait this long.
    pub(super) fn record<H: Host>(self, wait_ns: u64, event: &mut Event<'_, H>) {
        event.decided(self.queued, Decided::Queued, Value::Nanos(wait_ns));
        event.record_ms(self.milliseconds, wait_ns);
    }
}
