//! `delay`: how long a request is held, fixed or drawn from a distribution.

use super::schema::{
    DELAY, DISTRIBUTION, EMPIRICAL, EXPONENTIAL, LOG_NORMAL, NORMAL, PARETO, POINT, UNIFORM,
};
use crate::code::Code;
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::scalar::{Duration, Ppm};

/// `delay`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    /// How long.
    pub length: DelayLength,
    /// Share of requests that are delayed.
    pub share: Ppm,
}

/// `fixedDelay` or `distribution`.
#[derive(Clone, Debug, PartialEq)]
pub enum DelayLength {
    /// Always the same; more than zero.
    Fixed(Duration),
    /// Drawn anew for each request. An extension.
    Drawn(Distribution),
}

/// `distribution`: no delay is longer than `max`, which is 1 h at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// How delays are spread.
    pub spread: Spread,
    /// What is longer is cut to this.
    pub max: Duration,
}

/// How delays are spread.
#[derive(Clone, Debug, PartialEq)]
pub enum Spread {
    /// Evenly from here to `max`.
    Uniform {
        /// The shortest.
        min: Duration,
    },
    /// The bell curve; what would be negative is zero.
    Normal {
        /// Its mean.
        mean: Duration,
        /// Its standard deviation, more than zero.
        std_dev: Duration,
    },
    /// The logarithm is normal: most latencies look like this.
    LogNormal {
        /// The median, more than zero.
        p50: Duration,
        /// The 99th percentile, at least the median.
        p99: Duration,
    },
    /// Waits between independent events.
    Exponential {
        /// The mean, more than zero.
        mean: Duration,
    },
    /// A power law: few, but very long ones.
    Pareto {
        /// The shortest, more than zero.
        scale: Duration,
        /// The smaller, the heavier the tail; more than zero.
        shape: f64,
    },
    /// What was measured.
    Empirical {
        /// Percentiles, rising, and the delays there, which do not fall.
        points: Vec<(Ppm, Duration)>,
    },
}

const LONGEST: Duration = Duration::from_millis(3_600_000);
const DEFAULT_MAX: Duration = Duration::from_millis(60_000);
const LARGEST_SHAPE: f64 = 1_000.0;

impl Delay {
    pub(super) fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&DELAY, problems)?;
        let length = match (object.get("fixedDelay"), object.get("distribution")) {
            (Some(at), None) => Duration::read_positive(at, problems).map(DelayLength::Fixed),
            (None, Some(at)) => Distribution::read(at, problems).map(DelayLength::Drawn),
            (None, None) => {
                object.required("fixedDelay", problems);
                None
            }
            (Some(_), Some(_)) => {
                at.refuse(
                    problems,
                    Code::NotExactlyOne,
                    "must have either fixedDelay or distribution",
                );
                None
            }
        };
        let share = super::read_share(&object, problems);
        Some(Self {
            length: length?,
            share: share?,
        })
    }
}

impl Distribution {
    /// Equal for equal distributions, and for no others.
    #[must_use]
    pub fn identity(&self) -> Vec<u64> {
        let mut identity = vec![self.max.as_nanos()];
        match &self.spread {
            Spread::Uniform { min } => identity.extend([0, min.as_nanos()]),
            Spread::Normal { mean, std_dev } => {
                identity.extend([1, mean.as_nanos(), std_dev.as_nanos()]);
            }
            Spread::LogNormal { p50, p99 } => identity.extend([2, p50.as_nanos(), p99.as_nanos()]),
            Spread::Exponential { mean } => identity.extend([3, mean.as_nanos()]),
            Spread::Pareto { scale, shape } => {
                identity.extend([4, scale.as_nanos(), shape.to_bits()]);
            }
            Spread::Empirical { points } => {
                identity.push(5);
                let numbers = points.iter();
                identity
                    .extend(numbers.flat_map(|(at, delay)| [at.get().into(), delay.as_nanos()]));
            }
        }
        identity
    }

    fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&DISTRIBUTION, problems)?;
        let mut kinds = DISTRIBUTION.names().filter(|kind| object.has(kind));
        let (Some(kind), None) = (kinds.next(), kinds.next()) else {
            at.refuse(
                problems,
                Code::NotExactlyOne,
                format!("must have one of {}", DISTRIBUTION.names_in_words()),
            );
            return None;
        };
        let at = object.get(kind)?;
        match kind {
            "uniform" => read_uniform(at, problems),
            "normal" => {
                let object = at.object_of(&NORMAL, problems)?;
                let mean = required(&object, "mean", Duration::read, problems);
                let std_dev = required(&object, "stdDev", Duration::read_positive, problems);
                let max = read_max(&object, "mean", mean, problems);
                let (mean, std_dev) = (mean?, std_dev?);
                Self::new(Spread::Normal { mean, std_dev }, max)
            }
            "logNormal" => {
                let object = at.object_of(&LOG_NORMAL, problems)?;
                let p50 = required(&object, "p50", Duration::read_positive, problems);
                let p99 = required(&object, "p99", Duration::read_positive, problems);
                let max = read_max(&object, "p50", p50, problems);
                not_below(&object, "p99", p99, ("p50", p50), problems);
                let (p50, p99) = (p50?, p99?);
                Self::new(Spread::LogNormal { p50, p99 }, max)
            }
            "exponential" => {
                let object = at.object_of(&EXPONENTIAL, problems)?;
                let mean = required(&object, "mean", Duration::read_positive, problems);
                let max = read_max(&object, "mean", mean, problems);
                Self::new(Spread::Exponential { mean: mean? }, max)
            }
            "pareto" => {
                let object = at.object_of(&PARETO, problems)?;
                let scale = required(&object, "scale", Duration::read_positive, problems);
                let shape = object
                    .required("shape", problems)
                    .and_then(|at| read_shape(at, problems));
                let max = read_max(&object, "scale", scale, problems);
                let (scale, shape) = (scale?, shape?);
                Self::new(Spread::Pareto { scale, shape }, max)
            }
            _ => read_empirical(at, problems),
        }
    }

    fn new(spread: Spread, max: Option<Duration>) -> Option<Self> {
        Some(Self { spread, max: max? })
    }
}

fn read_uniform(at: Cursor<'_>, problems: &mut Problems) -> Option<Distribution> {
    let object = at.object_of(&UNIFORM, problems)?;
    let min = required(&object, "min", Duration::read, problems);
    object.required("max", problems)?;
    let max = read_max(&object, "min", min, problems);
    Distribution::new(Spread::Uniform { min: min? }, max)
}

fn read_empirical(at: Cursor<'_>, problems: &mut Problems) -> Option<Distribution> {
    let object = at.object_of(&EMPIRICAL, problems)?;
    let mut last: Option<(Ppm, Duration)> = None;
    let points = object.required("points", problems)?;
    let points = points.list(1..=64, problems, |at, problems| {
        let object = at.object_of(&POINT, problems)?;
        let percentile = required(&object, "percentile", Ppm::read, problems);
        let delay = required(&object, "delay", read_bounded, problems);
        let (percentile, delay) = (percentile?, delay?);
        if let Some((before, shorter)) = last.replace((percentile, delay)) {
            if percentile <= before {
                note(
                    &object,
                    "percentile",
                    "must be above the one before",
                    problems,
                );
            }
            if delay < shorter {
                note(
                    &object,
                    "delay",
                    "must not be below the one before",
                    problems,
                );
            }
        }
        Some((percentile, delay))
    })?;
    let shortest = points.first().map(|(_, delay)| *delay);
    let max = match object.get("max") {
        Some(_) => read_max(&object, "the first delay", shortest, problems),
        None => last.map(|(_, longest)| longest),
    };
    Distribution::new(Spread::Empirical { points }, max)
}

fn read_shape(at: Cursor<'_>, problems: &mut Problems) -> Option<f64> {
    let shape = at.number(problems)?;
    let valid = shape > 0.0 && shape <= LARGEST_SHAPE;
    if !valid {
        at.refuse(
            problems,
            Code::OutOfBounds,
            "must be more than 0 and at most 1000",
        );
    }
    valid.then_some(shape)
}

/// `max`, which must not cut off what the distribution is about.
fn read_max(
    object: &Object<'_>,
    name: &str,
    least: Option<Duration>,
    problems: &mut Problems,
) -> Option<Duration> {
    let Some(at) = object.get("max") else {
        if least.is_some_and(|least| least > DEFAULT_MAX) {
            let reason = format!("must have a max: the default, 60s, is below {name}");
            object.at().refuse(problems, Code::MissingField, reason);
        }
        return Some(DEFAULT_MAX);
    };
    let max = Duration::read_positive(at, problems)?;
    if max > LONGEST {
        at.refuse(problems, Code::DurationOutOfBounds, "must be at most 1h");
    }
    not_below(object, "max", Some(max), (name, least), problems);
    Some(max)
}

fn not_below(
    object: &Object<'_>,
    name: &str,
    value: Option<Duration>,
    (other, least): (&str, Option<Duration>),
    problems: &mut Problems,
) {
    if let (Some(value), Some(least)) = (value, least)
        && value < least
    {
        note(
            object,
            name,
            &format!("must not be below {other}"),
            problems,
        );
    }
}

fn read_bounded(at: Cursor<'_>, problems: &mut Problems) -> Option<Duration> {
    let delay = Duration::read(at, problems)?;
    if delay > LONGEST {
        at.refuse(problems, Code::DurationOutOfBounds, "must be at most 1h");
    }
    Some(delay)
}

fn note(object: &Object<'_>, name: &str, reason: &str, problems: &mut Problems) {
    if let Some(at) = object.get(name) {
        at.refuse(problems, Code::DurationOutOfBounds, reason);
    }
}

fn required<T>(
    object: &Object<'_>,
    name: &str,
    read: impl Fn(Cursor<'_>, &mut Problems) -> Option<T>,
    problems: &mut Problems,
) -> Option<T> {
    let at = object.required(name, problems)?;
    read(at, problems)
}
