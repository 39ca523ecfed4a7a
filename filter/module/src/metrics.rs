//! A plan's metrics as Envoy's: one metric a family, defined at load with the names
//! of its labels, as Envoy takes no new ones later. Nothing is decided by them.
//!
//! Envoy keeps a number for as long as one of the configurations that have counted it.
//! So a configuration takes all its numbers over when it is loaded, as the one before
//! may still count them then, and for the first time.

mod in_use;

use btp_engine::{CounterId, Entry, Family, GaugeId, Label, Labels, MetricKind, Plan, Series};

use crate::abi::{self, Config, Level, Meter, Stream, log};
use crate::listeners;
use crate::owed::{Change, Owed, hand_over, handed_over};
use crate::shared_state;
use in_use::InUse;

/// The metrics of one plan.
#[derive(Debug)]
pub(crate) struct Metrics {
    counters: Vec<Numbered>,
    gauges: Vec<Numbered>,
    defined: Vec<Defined>,
    /// What streams of its own have not shown yet.
    owed: Owed,
}

/// Where changes go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown<'a, 's> {
    /// They are shown at once.
    By(&'a Stream<'s>),
    /// By the next stream under the same configuration.
    ByTheNext,
    /// By streams at listeners.
    AtListeners,
}

/// A number of a family, and what tells it from others.
#[derive(Debug)]
struct Numbered {
    series: Series,
    metric: Option<Metric>,
    is_in_use: InUse,
}

#[derive(Clone, Copy, Debug)]
enum Metric {
    Counter(abi::CounterId),
    Gauge(abi::GaugeId),
}

/// A family that has been defined.
type Defined = (Family, Metric);

impl Metrics {
    /// Defines all families of a plan. What Envoy refuses is logged and not counted.
    pub(crate) fn new(plan: &Plan, config: &mut Config<'_>) -> Self {
        let families = plan.families();
        let define = |family: Family| Some((family, define(family, config)?));
        let defined: Vec<Defined> = families.into_iter().filter_map(define).collect();
        let numbered = |all: &[Series]| {
            let in_use = InUse::of(plan.is_upstream(), all).into_iter();
            let numbered = all.iter().zip(in_use);
            numbered
                .map(|(series, in_use)| Numbered::new(series, &defined, in_use))
                .collect()
        };
        let metrics = Self {
            counters: numbered(plan.counters()),
            gauges: numbered(plan.gauges()),
            owed: Owed::default(),
            defined,
        };
        if !plan.is_upstream() {
            in_use::of_upstream(|family, labels| metrics.take_over(family, labels, config));
        }
        if !plan.is_upstream() || !listeners::are_there() {
            metrics.take_over_own(config);
        }
        metrics
    }

    fn take_over_own(&self, config: &Config<'_>) {
        for Numbered { series, .. } in self.counters.iter().chain(&self.gauges) {
            self.take_over(series.family, &series.labels, config);
        }
        shared_state::for_each_account(|labels, entry| {
            self.take_over(entry.family(), labels, config);
        });
    }

    /// Envoy drops a number with the last configuration that has added to it. One that is
    /// too old for this begins anew.
    fn take_over(&self, family: Family, labels: &Labels, config: &Config<'_>) {
        if let Some(metric) = self.find(family) {
            show(config, metric, family, labels, Change::Add(0));
        }
    }

    pub(crate) fn add(&self, shown: Shown<'_, '_>, counter: CounterId, amount: u64) {
        if let Some(counter) = at(&self.counters, counter.0) {
            counter.is_in_use.set();
            let change = Change::Add(i64::try_from(amount).unwrap_or(i64::MAX));
            self.change(shown, counter.metric, &counter.series, change);
        }
    }

    /// Whether nobody has counted this yet.
    pub(crate) fn is_first(&self, counter: CounterId) -> bool {
        let counter = at(&self.counters, counter.0);
        counter.is_some_and(|it| it.metric.is_some() && !it.is_in_use.get())
    }

    pub(crate) fn adjust(&self, shown: Shown<'_, '_>, gauge: GaugeId, by: i64) {
        if let Some(gauge) = at(&self.gauges, gauge.0) {
            gauge.is_in_use.set();
            self.change(shown, gauge.metric, &gauge.series, Change::Add(by));
        }
    }

    /// Shows how an entry of an account has changed.
    pub(crate) fn entry(
        &self,
        shown: Shown<'_, '_>,
        entry: Entry,
        labels: &Labels,
        change: Change,
    ) {
        let family = entry.family();
        self.change_of(shown, self.find(family), family, labels, change);
    }

    /// Shows what was left to this stream to show.
    pub(crate) fn settle(&self, stream: &Stream<'_>) {
        self.settle_with(&self.owed, stream);
    }

    /// Shows what was left to the streams at listeners.
    pub(crate) fn settle_for_others(&self, meter: &impl Meter) {
        self.settle_with(handed_over(), meter);
    }

    fn settle_with(&self, owed: &Owed, meter: &impl Meter) {
        owed.settle(|family, labels, change| {
            if let Some(metric) = self.find(family) {
                show(meter, metric, family, labels, change);
            }
        });
    }

    fn change(
        &self,
        shown: Shown<'_, '_>,
        metric: Option<Metric>,
        series: &Series,
        change: Change,
    ) {
        self.change_of(shown, metric, series.family, &series.labels, change);
    }

    fn change_of(
        &self,
        shown: Shown<'_, '_>,
        metric: Option<Metric>,
        family: Family,
        labels: &Labels,
        change: Change,
    ) {
        match (shown, metric) {
            (Shown::By(stream), Some(metric)) => show(stream, metric, family, labels, change),
            (Shown::By(_), None) => {}
            (Shown::ByTheNext, _) => self.owed.add(family, labels, change),
            (Shown::AtListeners, _) => hand_over(family, labels, change),
        }
    }

    fn find(&self, family: Family) -> Option<Metric> {
        find(&self.defined, family)
    }
}

impl Numbered {
    fn new(series: &Series, defined: &[Defined], is_in_use: InUse) -> Self {
        Self {
            series: series.clone(),
            metric: find(defined, series.family),
            is_in_use,
        }
    }
}

fn at(all: &[Numbered], number: u32) -> Option<&Numbered> {
    all.get(usize::try_from(number).ok()?)
}

fn define(family: Family, config: &mut Config<'_>) -> Option<Metric> {
    let name = format!("btp.{}", family.name);
    let labels: Vec<&str> = family.labels.iter().map(|label| label.name()).collect();
    let defined = match family.kind {
        MetricKind::Counter => config.define_counter(&name, &labels).map(Metric::Counter),
        MetricKind::Gauge => config.define_gauge(&name, &labels).map(Metric::Gauge),
    };
    if defined.is_none() {
        log(Level::Error, &format!("metric {name} cannot be defined"));
    }
    defined
}

fn find(defined: &[Defined], family: Family) -> Option<Metric> {
    let mut known = defined.iter();
    known
        .find(|(known, _)| *known == family)
        .map(|(_, metric)| *metric)
}

/// The most labels of a family.
const MOST_LABELS: usize = 4;

fn show(meter: &impl Meter, metric: Metric, family: Family, labels: &Labels, change: Change) {
    let names: &[Label] = family.labels;
    let mut values = [""; MOST_LABELS];
    for (value, name) in values.iter_mut().zip(names) {
        *value = labels.value(*name);
    }
    let values = values.get(..names.len()).unwrap_or_default();
    match (metric, change) {
        (Metric::Gauge(gauge), Change::Set(to)) => meter.set(gauge, values, to),
        (Metric::Gauge(gauge), Change::Add(by @ ..0)) => {
            meter.lower(gauge, values, by.unsigned_abs())
        }
        (Metric::Gauge(gauge), Change::Add(by)) => meter.raise(gauge, values, by.unsigned_abs()),
        // A counter only goes up.
        (Metric::Counter(_), Change::Set(_) | Change::Add(..0)) => false,
        (Metric::Counter(counter), Change::Add(by)) => {
            meter.add(counter, values, by.unsigned_abs())
        }
    };
}
