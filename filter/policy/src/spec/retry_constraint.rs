//! `spec.retryConstraint`: a bound on retries, by share and by rate.
//!
//! Source: GEP-3388, as an extension of the policy.

pub(super) mod schema;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::At;
use crate::scalar::Duration;

/// `retryConstraint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConstraint {
    /// Retries per hundred requests.
    pub percent: u8,
    /// The window over which they are counted.
    pub interval: Duration,
    /// Retries that are always allowed …
    pub min_retries: u32,
    /// … in each of these.
    pub min_retries_interval: Duration,
    /// Who shares one budget. An extension.
    pub scope: Scope,
    /// What the client gets instead of a retry. An extension.
    pub on_exhausted: OnExhausted,
    /// Whether a response says that a retry was refused. An extension.
    pub report: bool,
    /// When a retry is paid for. An extension.
    pub mode: BudgetMode,
}

/// `mode`: when a retry is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BudgetMode {
    /// When its cause arrives, if an upstream instance sees it.
    #[default]
    Auto,
    /// When the request begins, whether there is an upstream instance or not.
    Reserve,
}

/// `scope`: who shares one budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All requests that the policy governs.
    #[default]
    Policy,
    /// Those of one route.
    Route,
    /// Those to one cluster.
    Cluster,
}

/// `onExhausted`: what the client gets when a retry was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExhausted {
    /// What the origin answered.
    #[default]
    OriginResponse,
    /// Status 503, as GEP-3388 has it.
    Status503,
}

impl RetryConstraint {
    /// Reads `retryConstraint`.
    pub fn read(at: At<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::RETRY_CONSTRAINT, problems)?;
        let mut constraint = Self {
            percent: 20,
            interval: Duration::from_millis(10_000),
            min_retries: 10,
            min_retries_interval: Duration::from_millis(1_000),
            scope: Scope::Policy,
            on_exhausted: OnExhausted::OriginResponse,
            report: false,
            mode: BudgetMode::Auto,
        };
        if let Some(at) = object.get("budget") {
            constraint.read_budget(at, problems);
        }
        if let Some(at) = object.get("minRetryRate") {
            constraint.read_min_retry_rate(at, problems);
        }
        if let Some(at) = object.get("scope") {
            let choices = [
                ("Policy", Scope::Policy),
                ("Route", Scope::Route),
                ("Cluster", Scope::Cluster),
            ];
            replace(&mut constraint.scope, at.choice(&choices, problems));
        }
        if let Some(at) = object.get("onExhausted") {
            let choices = [
                ("OriginResponse", OnExhausted::OriginResponse),
                ("Status503", OnExhausted::Status503),
            ];
            replace(&mut constraint.on_exhausted, at.choice(&choices, problems));
        }
        if let Some(at) = object.get("reportExhausted") {
            replace(&mut constraint.report, at.boolean(problems));
        }
        if let Some(at) = object.get("mode") {
            let choices = [("Auto", BudgetMode::Auto), ("Reserve", BudgetMode::Reserve)];
            replace(&mut constraint.mode, at.choice(&choices, problems));
        }
        Some(constraint)
    }

    fn read_budget(&mut self, at: At<'_>, problems: &mut Problems) -> Option<()> {
        let object = at.object_of(&schema::BUDGET, problems)?;
        if let Some(at) = object.get("percent") {
            let percent = at.integer(0..=100, problems);
            replace(
                &mut self.percent,
                percent.and_then(|it| u8::try_from(it).ok()),
            );
        }
        if let Some(at) = object.get("interval") {
            replace(&mut self.interval, read_interval(at, problems));
        }
        Some(())
    }

    fn read_min_retry_rate(&mut self, at: At<'_>, problems: &mut Problems) -> Option<()> {
        let object = at.object_of(&schema::MIN_RETRY_RATE, problems)?;
        if let Some(at) = object.get("count") {
            let count = at.integer(1..=1_000_000, problems);
            replace(
                &mut self.min_retries,
                count.and_then(|it| u32::try_from(it).ok()),
            );
        }
        if let Some(at) = object.get("interval") {
            replace(&mut self.min_retries_interval, read_interval(at, problems));
        }
        Some(())
    }
}

fn read_interval(at: At<'_>, problems: &mut Problems) -> Option<Duration> {
    let interval = Duration::read(at, problems)?;
    let second = Duration::from_millis(1_000);
    let hour = Duration::from_millis(3_600_000);
    if !(second..=hour).contains(&interval) {
        at.refuse(
            problems,
            Code::DurationOutOfBounds,
            "must be between 1s and 1h",
        );
        return None;
    }
    Some(interval)
}

/// Puts what was read in the place of a default. What could not be read has
/// been noted; the reading goes on, so that all problems are found.
fn replace<T>(default: &mut T, read: Option<T>) {
    if let Some(read) = read {
        *default = read;
    }
}
