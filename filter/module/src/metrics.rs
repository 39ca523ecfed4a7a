//! A plan's metrics as Envoy's: one metric a family, defined at load with the names of its
//! labels, because Envoy accepts no new ones later. No decision depends on them.
//!
//! A call into Envoy that changes a metric with labels costs more than all decisions of a
//! policy about a request. So workers only change numbers of the process, and the main
//! thread copies these to Envoy, some milliseconds later.
//!
//! Envoy puts metrics of the upstream position under the cluster's name. So a configuration at
//! a listener shows those counts instead, if there is any.

mod recorded;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use btp_engine::{
    CounterId, Family, GaugeId, HistogramId, Label, Labels, MetricKind, Plan, Series,
};

use crate::abi::{self, Config, Level, log};
use crate::in_force;
use crate::number::{Number, Numbered, numbers};
use crate::shared_state::accounts;
use recorded::Recorded;

/// The metrics of one plan.
#[derive(Debug)]
pub(crate) struct Metrics {
    numbers: Arc<Numbers>,
    shown: Shown,
}

/// What a plan counts.
#[derive(Debug)]
struct Numbers {
    counters: Vec<Numbered>,
    gauges: Vec<Numbered>,
    histograms: Vec<Series>,
    recorded: Recorded,
}

/// What a configuration shows. All of it is the main thread's.
#[derive(Debug)]
struct Shown {
    is_upstream: bool,
    defined: Vec<(Family, Metric)>,
    /// It shows its own: it is at a listener, or there is none.
    own: AtomicBool,
    /// So many accounts of budgets it has shown.
    accounts: AtomicUsize,
    /// Up to here the plans at the upstream position.
    upstream: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum Metric {
    Counter(abi::CounterId),
    Gauge(abi::GaugeId),
    Histogram(abi::HistogramId),
}

/// Which numbers are shown.
#[derive(Clone, Copy, PartialEq)]
enum Which {
    /// Those that have changed.
    Changed,
    /// Those that are not zero.
    Counted,
    /// Also those that are the same: Envoy drops a number with the last configuration
    /// that has shown it. Those for debugging come with their first change.
    All,
}

impl Metrics {
    /// Defines all families of a plan, and shows all numbers. What Envoy refuses is
    /// logged and not shown.
    pub(crate) fn new(plan: &Plan, config: &mut Config<'_>) -> Self {
        let is_upstream = plan.is_upstream();
        let metrics = Self {
            numbers: Arc::new(Numbers {
                counters: numbers(is_upstream, plan.counters()),
                gauges: numbers(is_upstream, plan.gauges()),
                histograms: plan.histograms().to_vec(),
                recorded: Recorded::default(),
            }),
            shown: Shown {
                is_upstream,
                defined: Family::ALL
                    .iter()
                    .filter_map(|family| Some((*family, define(*family, config)?)))
                    .collect(),
                own: AtomicBool::new(false),
                accounts: AtomicUsize::new(0),
                upstream: AtomicUsize::new(0),
            },
        };
        if is_upstream {
            upstream::add(&metrics.numbers);
            in_force::call_soon();
        }
        metrics.show(config);
        metrics
    }

    pub(crate) fn add(&self, counter: CounterId, amount: u64) {
        if let Some(counter) = at(&self.numbers.counters, counter.0) {
            counter.add(i64::try_from(amount).unwrap_or(i64::MAX));
            in_force::call_soon();
        }
    }

    pub(crate) fn adjust(&self, gauge: GaugeId, by: i64) {
        if let Some(gauge) = at(&self.numbers.gauges, gauge.0) {
            gauge.add(by);
            in_force::call_soon();
        }
    }

    /// Puts a value into a histogram.
    pub(crate) fn record(&self, histogram: HistogramId, value: u64) {
        if let Ok(index) = usize::try_from(histogram.0) {
            self.numbers.recorded.push(index, value);
            in_force::call_soon();
        }
    }

    /// Whether this has not been counted yet, under this configuration or an earlier one.
    pub(crate) fn is_first(&self, counter: CounterId) -> bool {
        at(&self.numbers.counters, counter.0).is_some_and(|it| it.total() == 0)
    }

    /// Shows what has changed.
    pub(crate) fn show(&self, config: &Config<'_>) {
        let Self { numbers, shown, .. } = self;
        let is_own = !shown.is_upstream || !in_force::is_any_at_a_listener();
        let was_own = shown.own.swap(is_own, Ordering::Relaxed);
        match (was_own, is_own) {
            (true, true) => shown.show(config, numbers, Which::Changed),
            // It might be that the listener is still to come, and none has been there yet.
            (false, true) if shown.is_upstream => shown.show(config, numbers, Which::Counted),
            (false, true) => shown.show(config, numbers, Which::All),
            (true, false) => shown.show_nothing(config, numbers),
            (false, false) => {}
        }
        if is_own {
            shown.show_accounts(config);
        }
        if !shown.is_upstream {
            let after = shown.upstream.load(Ordering::Relaxed);
            let last = upstream::for_each(|serial, numbers| {
                let is_new = serial > after;
                let which = if is_new { Which::All } else { Which::Changed };
                shown.show(config, numbers, which);
            });
            shown.upstream.store(last, Ordering::Relaxed);
        }
    }
}

impl Shown {
    fn show(&self, config: &Config<'_>, numbers: &Numbers, which: Which) {
        for Numbered { series, number } in numbers.counters.iter().chain(&numbers.gauges) {
            self.show_one(config, series.family, &series.labels, number, which);
        }
        for (index, value) in numbers.recorded.take() {
            let series = numbers.histograms.get(index);
            let known = series.and_then(|series| Some((series, self.find(series.family)?)));
            if let Some((Series { family, labels }, Metric::Histogram(histogram))) = known {
                with_labels(*family, labels, |labels| {
                    config.record(histogram, labels, value)
                });
            }
        }
    }

    fn show_accounts(&self, config: &Config<'_>) {
        let known = self.accounts.load(Ordering::Relaxed);
        let accounts = accounts();
        for (index, account) in accounts.iter().enumerate() {
            let is_new = index >= known;
            let which = if is_new { Which::All } else { Which::Changed };
            for (entry, number) in account.entries() {
                self.show_one(config, entry.family(), &account.labels, number, which);
            }
        }
        self.accounts.store(accounts.len(), Ordering::Relaxed);
    }

    /// Others show its numbers from now on.
    fn show_nothing(&self, config: &Config<'_>, numbers: &Numbers) {
        for Numbered { series, .. } in &numbers.gauges {
            if let Some(Metric::Gauge(gauge)) = self.find(series.family) {
                with_labels(series.family, &series.labels, |labels| {
                    config.set(gauge, labels, 0)
                });
            }
        }
    }

    fn show_one(
        &self,
        config: &Config<'_>,
        family: Family,
        labels: &Labels,
        number: &Number,
        which: Which,
    ) {
        let (total, change) = number.show();
        let is_shown = match which {
            Which::Changed => change != 0,
            Which::Counted => total != 0,
            Which::All => total != 0 || change != 0 || !family.is_debug(),
        };
        if !is_shown {
            return;
        }
        with_labels(family, labels, |labels| match self.find(family) {
            Some(Metric::Counter(counter)) => config.add(counter, labels, from_zero(change)),
            Some(Metric::Gauge(gauge)) => config.set(gauge, labels, from_zero(total)),
            Some(Metric::Histogram(_)) | None => false,
        });
    }

    fn find(&self, family: Family) -> Option<Metric> {
        let mut known = self.defined.iter();
        known
            .find(|(known, _)| *known == family)
            .map(|(_, metric)| *metric)
    }
}

fn at(all: &[Numbered], number: u32) -> Option<&Number> {
    Some(&all.get(usize::try_from(number).ok()?)?.number)
}

/// Less than nothing is there for as long as two workers are at it.
fn from_zero(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn define(family: Family, config: &mut Config<'_>) -> Option<Metric> {
    let name = format!("btp.{}", family.name);
    let labels: Vec<&str> = family.labels.iter().map(|label| label.name()).collect();
    let defined = match family.kind {
        MetricKind::Counter => config.define_counter(&name, &labels).map(Metric::Counter),
        MetricKind::Gauge => config.define_gauge(&name, &labels).map(Metric::Gauge),
        MetricKind::Histogram => config
            .define_histogram(&name, &labels)
            .map(Metric::Histogram),
    };
    if defined.is_none() {
        log(Level::Error, &format!("metric {name} cannot be defined"));
    }
    defined
}

/// The most labels of a family.
const MOST_LABELS: usize = 4;

fn with_labels(family: Family, labels: &Labels, call: impl FnOnce(&[&str]) -> bool) -> bool {
    let names: &[Label] = family.labels;
    let mut values = [""; MOST_LABELS];
    for (value, name) in values.iter_mut().zip(names) {
        *value = labels.value(*name);
    }
    call(values.get(..names.len()).unwrap_or_default())
}
