//! A configuration while it is loaded: what metrics there will be.

use std::marker::PhantomData;

use super::callbacks::{self, ConfigPtr};
use super::types::{ModuleBuffer, SUCCESS};

/// The most labels of a metric.
pub(super) const MOST_LABELS: usize = 8;

/// Envoy's side of a configuration that is being loaded. Metrics are defined here or
/// never: Envoy takes no new ones while requests run.
#[derive(Debug)]
pub(crate) struct Config<'a> {
    envoy: ConfigPtr,
    hook: PhantomData<&'a mut ()>,
}

/// A counter, or a family of counters with labels, of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CounterId(pub(super) usize);

/// A gauge, or a family of gauges with labels, of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GaugeId(pub(super) usize);

impl Config<'_> {
    /// # Safety
    /// It is what Envoy has handed to the hook, and is not used after that.
    pub(super) unsafe fn new(envoy: ConfigPtr) -> Self {
        Self {
            envoy,
            hook: PhantomData,
        }
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

    /// Takes a counter over from the configurations before: Envoy drops a counter with
    /// the last configuration that has added to it. `false` if Envoy refuses.
    pub(crate) fn take_over_counter(&mut self, counter: CounterId, labels: &[&str]) -> bool {
        with_labels(labels, |labels, count| {
            // SAFETY: the configuration is alive during its hook, and has defined the
            // metric; the labels outlive the call.
            unsafe { callbacks::config_increment_counter(self.envoy, counter.0, labels, count, 0) }
        })
    }

    /// The same of a gauge.
    pub(crate) fn take_over_gauge(&mut self, gauge: GaugeId, labels: &[&str]) -> bool {
        with_labels(labels, |labels, count| {
            // SAFETY: as for counters.
            unsafe { callbacks::config_increment_gauge(self.envoy, gauge.0, labels, count, 0) }
        })
    }
}

/// Calls with labels as C has them; whether that succeeded. Too many are refused.
pub(super) fn with_labels(
    labels: &[&str],
    call: impl FnOnce(*const ModuleBuffer, usize) -> u32,
) -> bool {
    let mut buffers = [ModuleBuffer::NULL; MOST_LABELS];
    if labels.len() > buffers.len() {
        return false;
    }
    for (buffer, label) in buffers.iter_mut().zip(labels) {
        *buffer = ModuleBuffer::of(label.as_bytes());
    }
    call(buffers.as_ptr(), labels.len()) == SUCCESS
}
