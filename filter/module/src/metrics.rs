//! A plan's metrics as Envoy's: one metric a family, defined at load with the names
//! of its labels, as Envoy takes no new ones later. Nothing is decided by them.
//!
//! Envoy keeps a number for as long as one of the configurations that have counted it.
//! So a configuration takes all its numbers over when it is loaded, as the one before
//! may still count them then, and for the first time.

mod in_use;

use btp_engine::{CounterId, Entry, Family, GaugeId, Label, Labels, MetricKind, Plan, Series};

use crate::abi::{self, Config, Level, Stream, log};
use crate::shared_state;
use in_use::InUse;

/// The metrics of one plan.
#[derive(Debug)]
pub(crate) struct Metrics {
    counters: Vec<Option<Numbered<abi::CounterId>>>,
    /// Of each counter, in the same order.
    in_use: Vec<InUse>,
    gauges: Vec<Option<Numbered<abi::GaugeId>>>,
    /// Those of accounts, in the order of [`Entry::ALL`].
    entries: Vec<Option<Metric>>,
}

/// A number of a family, and what tells it from others.
#[derive(Debug)]
struct Numbered<I> {
    family: I,
    labels: Vec<String>,
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
        let counters = plan.counters().iter().map(|series| {
            let Metric::Counter(family) = find(&defined, series.family)? else {
                return None;
            };
            Some(Numbered::new(family, series))
        });
        let gauges = plan.gauges().iter().map(|series| {
            let Metric::Gauge(family) = find(&defined, series.family)? else {
                return None;
            };
            Some(Numbered::new(family, series))
        });
        let entries = Entry::ALL
            .into_iter()
            .map(|entry| find(&defined, entry.family()));
        let metrics = Self {
            counters: counters.collect(),
            in_use: InUse::of(plan.is_upstream(), plan.counters()),
            gauges: gauges.collect(),
            entries: entries.collect(),
        };
        metrics.take_over(config);
        metrics
    }

    /// Takes over what was and will be counted under the configurations before.
    fn take_over(&self, config: &mut Config<'_>) {
        for it in self.counters.iter().flatten() {
            let family = it.family;
            with_labels(&it.labels, |it| config.take_over_counter(family, it));
        }
        for it in self.gauges.iter().flatten() {
            let family = it.family;
            with_labels(&it.labels, |it| config.take_over_gauge(family, it));
        }
        shared_state::for_each_account(|labels, entry| {
            with_values(labels, entry, |labels| match self.entry(entry) {
                None => false,
                Some(Metric::Counter(counter)) => config.take_over_counter(counter, labels),
                Some(Metric::Gauge(gauge)) => config.take_over_gauge(gauge, labels),
            });
        });
    }

    pub(crate) fn add(&self, stream: &Stream<'_>, counter: CounterId, amount: u64) {
        let Ok(place) = usize::try_from(counter.0) else {
            return;
        };
        if let (Some(Some(counter)), Some(in_use)) =
            (self.counters.get(place), self.in_use.get(place))
        {
            in_use.set();
            with_labels(&counter.labels, |labels| {
                stream.add(counter.family, labels, amount)
            });
        }
    }

    /// Whether nobody has counted this yet.
    pub(crate) fn is_first(&self, counter: CounterId) -> bool {
        let place = usize::try_from(counter.0).ok();
        let in_use = place.and_then(|it| self.in_use.get(it));
        in_use.is_some_and(|it| !it.get())
    }

    pub(crate) fn adjust(&self, stream: &Stream<'_>, gauge: GaugeId, by: i64) {
        let gauge = usize::try_from(gauge.0)
            .ok()
            .and_then(|it| self.gauges.get(it));
        if let Some(Some(gauge)) = gauge {
            with_labels(&gauge.labels, |labels| {
                adjust(stream, gauge.family, labels, by)
            });
        }
    }

    /// Shows what was added to an entry of an account.
    pub(crate) fn post(&self, stream: &Stream<'_>, labels: &Labels, entry: Entry, by: i64) {
        with_values(labels, entry, |labels| match self.entry(entry) {
            None => false,
            Some(Metric::Gauge(gauge)) => adjust(stream, gauge, labels, by),
            // A counter only goes up.
            Some(Metric::Counter(counter)) => match u64::try_from(by) {
                Ok(amount) => stream.add(counter, labels, amount),
                Err(_) => false,
            },
        });
    }

    /// Shows what an entry of an account was made.
    pub(crate) fn set(&self, stream: &Stream<'_>, labels: &Labels, entry: Entry, to: u64) {
        if let Some(Metric::Gauge(gauge)) = self.entry(entry) {
            with_values(labels, entry, |labels| stream.set(gauge, labels, to));
        }
    }

    fn entry(&self, entry: Entry) -> Option<Metric> {
        let place = Entry::ALL.iter().position(|it| *it == entry)?;
        *self.entries.get(place)?
    }
}

impl<I> Numbered<I> {
    fn new(family: I, series: &Series) -> Self {
        let names = series.family.labels.iter();
        Self {
            family,
            labels: names
                .map(|it| series.labels.value(*it).to_owned())
                .collect(),
        }
    }
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

fn adjust(stream: &Stream<'_>, gauge: abi::GaugeId, labels: &[&str], by: i64) -> bool {
    let amount = by.unsigned_abs();
    if by < 0 {
        stream.lower(gauge, labels, amount)
    } else {
        stream.raise(gauge, labels, amount)
    }
}

/// The most labels of a family.
const MOST_LABELS: usize = 4;

fn with_values(labels: &Labels, entry: Entry, act: impl FnOnce(&[&str]) -> bool) {
    let names: &[Label] = entry.family().labels;
    let mut values = [""; MOST_LABELS];
    for (value, name) in values.iter_mut().zip(names) {
        *value = labels.value(*name);
    }
    act(values.get(..names.len()).unwrap_or_default());
}

fn with_labels(labels: &[String], act: impl FnOnce(&[&str]) -> bool) {
    let mut values = [""; MOST_LABELS];
    for (value, label) in values.iter_mut().zip(labels) {
        *value = label;
    }
    act(values.get(..labels.len()).unwrap_or_default());
}
