//! Accounts of retry budgets: numbers that all workers add to. What each entry
//! comes to is seen by all at once, so that a worker can enter what it wants to
//! hold first and look afterwards.
//!
//! A host shows each entry as a metric of its family, with the labels that the
//! account was opened with. A host whose metrics all workers can add to and read
//! may keep the account in them.

use crate::host::metrics::{Family, Label, Labels, MetricKind};

/// The accounts of a process. They belong to no plan: all plans that name the
/// same one mean the same one.
pub trait Accounts {
    /// The account of the budget with these labels. `None` if the host has no
    /// place for it.
    fn account(&self, budget: &Labels) -> Option<AccountId>;

    /// Adds to an entry.
    fn post(&self, account: AccountId, entry: Entry, by: i64);

    /// Makes an entry this number.
    fn set(&self, account: AccountId, entry: Entry, to: u64);

    /// What an entry has come to, all workers together.
    fn total(&self, account: AccountId, entry: Entry) -> u64;
}

/// Names an account in its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(pub u32);

/// An entry of a budget's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Requests, whose first attempts were under way.
    Requests,
    /// Retries that requests paid for.
    Retries,
    /// Retries that `minRetryRate` paid for.
    MinRetries,
    /// Retries that requests will pay for, if they happen.
    Held,
    /// The same of `minRetryRate`.
    MinHeld,
    /// Retries that were refused; for show.
    Refused,
    /// Retries that could be had; for show.
    Balance,
}

const LABELS: &[Label] = &[
    Label::Namespace,
    Label::Policy,
    Label::Route,
    Label::Cluster,
];

impl Entry {
    /// All entries of an account.
    pub const ALL: [Self; 7] = [
        Self::Requests,
        Self::Retries,
        Self::MinRetries,
        Self::Held,
        Self::MinHeld,
        Self::Refused,
        Self::Balance,
    ];

    /// What it is shown as. Route or cluster are empty where all of a policy's
    /// share one budget.
    #[must_use]
    pub fn family(self) -> Family {
        let (kind, name) = match self {
            Self::Requests => (MetricKind::Counter, "retry_budget_requests"),
            Self::Retries => (MetricKind::Counter, "retry_budget_retries"),
            Self::MinRetries => (MetricKind::Counter, "retry_budget_min_retries"),
            Self::Held => (MetricKind::Gauge, "retry_budget_held"),
            Self::MinHeld => (MetricKind::Gauge, "retry_budget_min_held"),
            Self::Refused => (MetricKind::Counter, "retry_budget_refused"),
            Self::Balance => (MetricKind::Gauge, "retry_budget_balance"),
        };
        Family {
            kind,
            name,
            labels: LABELS,
        }
    }
}
