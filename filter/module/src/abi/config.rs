//! A configuration in its hooks, on the main thread: its metrics, and how other threads
//! have such a hook called.

use std::marker::PhantomData;

use super::callbacks::{self, ConfigPtr, ConfigSchedulerPtr};
use super::types::{ModuleBuffer, SUCCESS};

/// The most labels of a metric.
const MOST_LABELS: usize = 8;

/// Envoy's side of a configuration. Metrics are defined while it is loaded or never:
/// Envoy takes no new ones while requests run.
#[derive(Debug)]
pub(crate) struct Config<'a> {
    pub(super) envoy: ConfigPtr,
    hook: PhantomData<&'a mut ()>,
}

/// A counter, or a family of counters with labels, of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CounterId(pub(super) usize);

/// A gauge, or a family of gauges with labels, of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GaugeId(pub(super) usize);

/// A histogram, or a family of histograms with labels, of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HistogramId(pub(super) usize);

/// Has a hook of a configuration called on the main thread, by any other. When the
/// configuration has gone nothing happens.
#[derive(Debug)]
pub(crate) struct ConfigScheduler(ConfigSchedulerPtr);

// SAFETY: the header says of `commit` that any thread may call it, and asks for no thread
// of `delete`.
unsafe impl Send for ConfigScheduler {}

impl ConfigScheduler {
    /// Has the hook `config_scheduled` called.
    pub(crate) fn commit(&self) {
        // SAFETY: it is deleted by `drop` alone.
        unsafe { callbacks::config_scheduler_commit(self.0, 0) }
    }
}

impl Drop for ConfigScheduler {
    fn drop(&mut self) {
        // SAFETY: it came from `config_scheduler_new`, and nobody else deletes it.
        unsafe { callbacks::config_scheduler_delete(self.0) }
    }
}

impl Config<'_> {
    /// # Safety
    /// It is what Envoy has handed to the hook, and is not used after that.
    pub(super) unsafe fn new(envoy: ConfigPtr) -> Self {
        Self {
            envoy,
            hook: PhantomData,
        }
    }

    /// What has its hook called; `None` if Envoy has none to give.
    pub(crate) fn scheduler(&mut self) -> Option<ConfigScheduler> {
        // SAFETY: the configuration is alive during its hook.
        let scheduler = unsafe { callbacks::config_scheduler_new(self.envoy) };
        (!scheduler.is_null()).then_some(ConfigScheduler(scheduler))
    }

    /// Defines a counter with these labels; `None` if Envoy refuses.
    pub(crate) fn define_counter(&mut self, name: &str, labels: &[&str]) -> Option<CounterId> {
        let mut id = 0;
        with_labels(labels, |labels, count| {
            // SAFETY: the configuration is alive during its hook; names and labels
            // outlive the call, and the result has room.
            unsafe {
                let name = ModuleBuffer::of(name.as_bytes());
                callbacks::define_counter(self.envoy, name, labels, count, &raw mut id)
            }
        })
        .then_some(CounterId(id))
    }

    /// Defines a gauge with these labels; `None` if Envoy refuses.
    pub(crate) fn define_gauge(&mut self, name: &str, labels: &[&str]) -> Option<GaugeId> {
        let mut id = 0;
        with_labels(labels, |labels, count| {
            // SAFETY: as for counters.
            unsafe {
                let name = ModuleBuffer::of(name.as_bytes());
                callbacks::define_gauge(self.envoy, name, labels, count, &raw mut id)
            }
        })
        .then_some(GaugeId(id))
    }

    /// Defines a histogram with these labels; `None` if Envoy refuses.
    pub(crate) fn define_histogram(&mut self, name: &str, labels: &[&str]) -> Option<HistogramId> {
        let mut id = 0;
        with_labels(labels, |labels, count| {
            // SAFETY: as for counters.
            unsafe {
                let name = ModuleBuffer::of(name.as_bytes());
                callbacks::define_histogram(self.envoy, name, labels, count, &raw mut id)
            }
        })
        .then_some(HistogramId(id))
    }

    /// Adds to a counter, with as many labels as it was defined with; whether Envoy has
    /// taken that.
    pub(crate) fn add(&self, counter: CounterId, labels: &[&str], amount: u64) -> bool {
        let envoy = self.envoy;
        with_labels(labels, |labels, count| {
            // SAFETY: the configuration is alive during its hook; labels outlive the call.
            unsafe { callbacks::config_increment_counter(envoy, counter.0, labels, count, amount) }
        })
    }

    /// Puts a value into a histogram, in the same way.
    pub(crate) fn record(&self, histogram: HistogramId, labels: &[&str], value: u64) -> bool {
        let envoy = self.envoy;
        with_labels(labels, |labels, count| {
            // SAFETY: as for counters.
            unsafe { callbacks::config_record_histogram(envoy, histogram.0, labels, count, value) }
        })
    }

    /// Sets a gauge, in the same way.
    pub(crate) fn set(&self, gauge: GaugeId, labels: &[&str], value: u64) -> bool {
        with_labels(labels, |labels, count| {
            // SAFETY: as for counters.
            unsafe { callbacks::config_set_gauge(self.envoy, gauge.0, labels, count, value) }
        })
    }
}

/// Calls with labels as C has them; whether that succeeded. Too many are refused.
fn with_labels(labels: &[&str], call: impl FnOnce(*const ModuleBuffer, usize) -> u32) -> bool {
    let mut buffers = [ModuleBuffer::NULL; MOST_LABELS];
    if labels.len() > buffers.len() {
        return false;
    }
    for (buffer, label) in buffers.iter_mut().zip(labels) {
        *buffer = ModuleBuffer::of(label.as_bytes());
    }
    call(buffers.as_ptr(), labels.len()) == SUCCESS
}
