//! `spec.retryConstraint`: a bound on retries, by share and by rate.
//!
//! Source: GEP-3388, as an extension of the policy.

pub(crate) mod schema;

use crate::code::Code;
use crate::problem::Problems;
use crate::read::Cursor;
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
    /// Which requests share one budget. An extension.
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
    /// Those to one Service; of an `XBackendTrafficPolicy` for several.
    Service,
}

/// `onExhausted`: what the client gets when a retry was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExhausted {
    /// What the origin answered.
    #[default]
    OriginResponse,
    /// Status 503, as in GEP-3388.
    Status503,
}

/// `budget` by default: so many percent of the requests in so long.
const BUDGET: (u8, Duration) = (20, Duration::from_millis(10_000));

/// `minRetryRate` by default: so many retries in so long.
const MIN_RETRY_RATE: (u32, Duration) = (10, Duration::from_millis(1_000));

impl RetryConstraint {
    /// Reads `retryConstraint`. What is wrong has been noted and counts as left out, so
    /// that the rest of the policy is still checked against it.
    pub fn read(at: Cursor<'_>, problems: &mut Problems) -> Option<Self> {
        let object = at.object_of(&schema::RETRY_CONSTRAINT, problems)?;
        let budget = object.optional("budget", problems, read_budget);
        let rate = object.optional("minRetryRate", problems, read_min_retry_rate);
        let scopes = [
            ("Policy", Scope::Policy),
            ("Route", Scope::Route),
            ("Cluster", Scope::Cluster),
        ];
        let scope = object.or_default("scope", problems, |at, problems| {
            at.choice(&scopes, problems)
        });
        let responses = [
            ("OriginResponse", OnExhausted::OriginResponse),
            ("Status503", OnExhausted::Status503),
        ];
        let on_exhausted = object.or_default("onExhausted", problems, |at, problems| {
            at.choice(&responses, problems)
        });
        let report = object.or_default("reportExhausted", problems, Cursor::boolean);
        let modes = [("Auto", BudgetMode::Auto), ("Reserve", BudgetMode::Reserve)];
        let mode = object.or_default("mode", problems, |at, problems| at.choice(&modes, problems));
        let (percent, interval) = budget.flatten().unwrap_or(BUDGET);
        let (min_retries, min_retries_interval) = rate.flatten().unwrap_or(MIN_RETRY_RATE);
        Some(Self {
            percent,
            interval,
            min_retries,
            min_retries_interval,
            scope: scope.unwrap_or_default(),
            on_exhausted: on_exhausted.unwrap_or_default(),
            report: report.unwrap_or_default(),
            mode: mode.unwrap_or_default(),
        })
    }
}

impl RetryConstraint {
    /// Reads the `retryConstraint` of an `XBackendTrafficPolicy` for so many Services: the
    /// Gateway API's own fields. Each Service has a budget, and who is refused a retry gets
    /// status 503, as in the API.
    pub(crate) fn read_of_services(
        at: Cursor<'_>,
        services: usize,
        problems: &mut Problems,
    ) -> Option<Self> {
        let object = at.object_of(&schema::SERVICE_RETRY_CONSTRAINT, problems)?;
        let budget = object.optional("budget", problems, read_budget);
        let rate = object.optional("minRetryRate", problems, read_min_retry_rate);
        let (percent, interval) = budget.flatten().unwrap_or(BUDGET);
        let (min_retries, min_retries_interval) = rate.flatten().unwrap_or(MIN_RETRY_RATE);
        Some(Self {
            percent,
            interval,
            min_retries,
            min_retries_interval,
            scope: match services {
                0 | 1 => Scope::Policy,
                _ => Scope::Service,
            },
            on_exhausted: OnExhausted::Status503,
            report: false,
            mode: BudgetMode::Auto,
        })
    }
}

fn read_budget(at: Cursor<'_>, problems: &mut Problems) -> Option<(u8, Duration)> {
    let object = at.object_of(&schema::BUDGET, problems)?;
    let percent = object.optional("percent", problems, |at, problems| {
        u8::try_from(at.integer(0..=100, problems)?).ok()
    });
    let interval = object.optional("interval", problems, read_interval);
    Some((
        percent.flatten().unwrap_or(BUDGET.0),
        interval.flatten().unwrap_or(BUDGET.1),
    ))
}

fn read_min_retry_rate(at: Cursor<'_>, problems: &mut Problems) -> Option<(u32, Duration)> {
    let object = at.object_of(&schema::MIN_RETRY_RATE, problems)?;
    let count = object.optional("count", problems, |at, problems| {
        u32::try_from(at.integer(1..=1_000_000, problems)?).ok()
    });
    let interval = object.optional("interval", problems, read_interval);
    Some((
        count.flatten().unwrap_or(MIN_RETRY_RATE.0),
        interval.flatten().unwrap_or(MIN_RETRY_RATE.1),
    ))
}

fn read_interval(at: Cursor<'_>, problems: &mut Problems) -> Option<Duration> {
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
