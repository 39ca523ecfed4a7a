//! Where metrics can be changed: in a stream's hook, and in a configuration's on the
//! main thread. Each of them takes as many labels as a metric was defined with, and says
//! whether Envoy has taken it.

use super::callbacks::{self, ConfigPtr};
use super::config::{Config, CounterId, GaugeId, with_labels};
use super::late;
use super::stream::Stream;

/// What changes metrics of its configuration.
pub(crate) trait Meter {
    /// Adds to a counter.
    fn add(&self, counter: CounterId, labels: &[&str], amount: u64) -> bool;
    /// Adds to a gauge.
    fn raise(&self, gauge: GaugeId, labels: &[&str], amount: u64) -> bool;
    /// Takes from a gauge.
    fn lower(&self, gauge: GaugeId, labels: &[&str], amount: u64) -> bool;
    /// Sets a gauge.
    fn set(&self, gauge: GaugeId, labels: &[&str], value: u64) -> bool;
}

impl Meter for Stream<'_> {
    fn add(&self, counter: CounterId, labels: &[&str], amount: u64) -> bool {
        with_labels(labels, |labels, count| {
            // SAFETY: the filter is alive during its hook; labels outlive the call.
            unsafe { callbacks::increment_counter(self.envoy, counter.0, labels, count, amount) }
        })
    }

    fn raise(&self, gauge: GaugeId, labels: &[&str], amount: u64) -> bool {
        with_labels(labels, |labels, count| {
            // SAFETY: the filter is alive during its hook; labels outlive the call.
            unsafe { callbacks::increment_gauge(self.envoy, gauge.0, labels, count, amount) }
        })
    }

    fn lower(&self, gauge: GaugeId, labels: &[&str], amount: u64) -> bool {
        with_labels(labels, |labels, count| {
            // SAFETY: the filter is alive during its hook; labels outlive the call.
            unsafe { callbacks::decrement_gauge(self.envoy, gauge.0, labels, count, amount) }
        })
    }

    fn set(&self, gauge: GaugeId, labels: &[&str], value: u64) -> bool {
        with_labels(labels, |labels, count| {
            // SAFETY: the filter is alive during its hook; labels outlive the call.
            unsafe { callbacks::set_gauge(self.envoy, gauge.0, labels, count, value) }
        })
    }
}

/// Nothing is changed where Envoy is older than these callbacks
/// ([`late::can_count_for_configs`]).
impl Meter for Config<'_> {
    fn add(&self, counter: CounterId, labels: &[&str], amount: u64) -> bool {
        change(
            late::INCREMENT_COUNTER.get(),
            self.envoy,
            counter.0,
            labels,
            amount,
        )
    }

    fn raise(&self, gauge: GaugeId, labels: &[&str], amount: u64) -> bool {
        change(
            late::INCREMENT_GAUGE.get(),
            self.envoy,
            gauge.0,
            labels,
            amount,
        )
    }

    fn lower(&self, gauge: GaugeId, labels: &[&str], amount: u64) -> bool {
        change(
            late::DECREMENT_GAUGE.get(),
            self.envoy,
            gauge.0,
            labels,
            amount,
        )
    }

    fn set(&self, gauge: GaugeId, labels: &[&str], value: u64) -> bool {
        change(late::SET_GAUGE.get(), self.envoy, gauge.0, labels, value)
    }
}

fn change(
    callback: Option<late::Change>,
    config: ConfigPtr,
    id: usize,
    labels: &[&str],
    amount: u64,
) -> bool {
    let Some(callback) = callback else {
        return false;
    };
    with_labels(labels, |labels, count| {
        // SAFETY: the configuration is alive during its hook, which is on the main
        // thread; labels outlive the call.
        unsafe { callback(config, id, labels, count, amount) }
    })
}
