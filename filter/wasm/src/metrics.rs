//! Counters, gauges and histograms as Envoy's statistics, `wasmcustom.<name>`. Those of
//! WebAssembly have no labels: they are parts of the name.
//!
//! A worker's VM looks up Envoy's number of a metric when it first uses it. The canary
//! defines all, so that they are there at zero: who sees a counter for the first time
//! at 5 does not know that it has moved.

use std::cell::RefCell;

use btp_engine::{CounterId, Entry, GaugeId, HistogramId, Labels, Plan, Series, families};
use hashbrown::HashMap;

use crate::abi::{self, HostError};

/// The metrics of one configuration.
#[derive(Debug)]
pub(crate) struct Metrics {
    counters: Defined,
    gauges: Defined,
    histograms: Defined,
}

/// Metrics of one kind, and Envoy's numbers of those in use.
#[derive(Debug)]
struct Defined {
    series: Vec<Series>,
    numbers: RefCell<HashMap<u32, u32>>,
    define: fn(&str) -> Result<u32, HostError>,
}

impl Metrics {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            counters: Defined::new(plan.counters(), abi::define_counter),
            gauges: Defined::new(plan.gauges(), abi::define_gauge),
            histograms: Defined::new(plan.histograms(), abi::define_histogram),
        }
    }

    /// Defines all counters and gauges but those for debugging.
    pub(crate) fn show_all(&self) {
        for defined in [&self.counters, &self.gauges] {
            for (index, series) in (0..).zip(&defined.series) {
                if !series.family.is_debug() {
                    defined.number(index);
                }
            }
        }
    }

    pub(crate) fn add(&self, counter: CounterId, amount: u64) {
        if let Some(id) = self.counters.number(counter.0)
            && let Err(refused) = abi::increment(id, amount)
        {
            log::error!("counter {id} cannot be incremented: {refused:?}");
        }
    }

    pub(crate) fn adjust(&self, gauge: GaugeId, by: i64) {
        if let Some(id) = self.gauges.number(gauge.0)
            && let Err(refused) = abi::adjust(id, by)
        {
            log::error!("gauge {id} cannot be changed by {by}: {refused:?}");
        }
    }

    pub(crate) fn record(&self, histogram: HistogramId, value: u64) {
        if let Some(id) = self.histograms.number(histogram.0)
            && let Err(refused) = abi::record(id, value)
        {
            log::error!("histogram {id} cannot take {value}: {refused:?}");
        }
    }

    pub(crate) fn read(&self, counter: CounterId) -> u64 {
        self.counters
            .number(counter.0)
            .and_then(|id| abi::metric(id).ok())
            .unwrap_or(0)
    }
}

impl Defined {
    fn new(series: &[Series], define: fn(&str) -> Result<u32, HostError>) -> Self {
        Self {
            series: series.to_vec(),
            numbers: RefCell::default(),
            define,
        }
    }

    fn number(&self, index: u32) -> Option<u32> {
        if let Some(number) = self.numbers.borrow().get(&index) {
            return Some(*number);
        }
        let name = self.series.get(usize::try_from(index).ok()?)?.to_string();
        match (self.define)(&name) {
            Ok(number) => {
                self.numbers.borrow_mut().insert(index, number);
                Some(number)
            }
            Err(refused) => {
                log::error!("metric {name} cannot be defined: {refused:?}");
                None
            }
        }
    }
}

/// Makes sure that Envoy keeps the metrics of a budget's account: a
/// `stats_matcher` can turn them into constants, and then they are no account to
/// keep.
pub(crate) fn self_test(budget: &Labels) -> Result<(), String> {
    let moves = || {
        let name = families::RETRY_BUDGET_DEBUG_SELF_TEST.name;
        let counter = abi::define_counter(&budget.dotted(name))?;
        abi::increment(counter, 1)?;
        let gauge = abi::define_gauge(&budget.dotted(Entry::Held.family().name))?;
        abi::adjust(gauge, 1)?;
        let moved = abi::metric(counter)? > 0 && abi::metric(gauge)? > 0;
        abi::adjust(gauge, -1)?;
        Ok::<bool, HostError>(moved)
    };
    let prefix = budget.dotted_prefix();
    match moves() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "the retry budget of {prefix} needs Envoy's statistics wasmcustom.{prefix}.*, which \
             do not change: let stats_config.stats_matcher in the bootstrap admit them, or leave \
             retryConstraint out"
        )),
        Err(refused) => Err(format!(
            "the statistics wasmcustom.{prefix}.* cannot be made: {refused:?}"
        )),
    }
}
