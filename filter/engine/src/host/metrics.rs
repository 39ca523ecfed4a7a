//! Process-wide numbers: the counters and gauges of a plan, which have numbers
//! of their own, and meters, which are found by name while exchanges run. A
//! retry budget keeps its account in meters: they belong to no plan, so that
//! every plan of a process that names the same number means the same number.

/// Process-wide counters.
pub trait Counters {
    /// Adds to a counter.
    fn add(&self, counter: CounterId, amount: u64);

    /// The counter's value, all workers together.
    fn read(&self, counter: CounterId) -> u64;
}

/// Names a counter of one plan: an index into `Plan::counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterId(pub u32);

/// Names a gauge of one plan: an index into `Plan::gauges`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GaugeId(pub u32);

/// Numbers that all workers of a process share.
pub trait Meters {
    /// The number of this name, which is made if there is none. `None` if the
    /// host has no place for it.
    fn meter(&self, kind: MeterKind, name: &str) -> Option<MeterId>;

    /// Adds to a number; a gauge may also go down.
    fn adjust(&self, meter: MeterId, by: i64);

    /// Makes a gauge this number.
    fn set(&self, meter: MeterId, to: u64);

    /// The number, all workers together.
    fn level(&self, meter: MeterId) -> u64;
}

/// What a number is to those who look at it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterKind {
    /// It only goes up; an administrator may set it to zero.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Names a number in its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeterId(pub u32);
