//! Accounts of retry budgets: numbers that all workers add to. All workers see the total of
//! an entry at once, so a worker can first enter what it is going to hold and then read the
//! total.
//!
//! A host shows each entry as a metric of its family, with the labels of the account. A
//! host whose metrics all workers can change and read may keep the account in them.

use crate::host::metrics::{Family, Labels, families};

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
        match self {
            Self::Requests => families::RETRY_BUDGET_REQUESTS,
            Self::Retries => families::RETRY_BUDGET_RETRIES,
            Self::MinRetries => families::RETRY_BUDGET_MIN_RETRIES,
            Self::Held => families::RETRY_BUDGET_DEBUG_HELD,
            Self::MinHeld => families::RETRY_BUDGET_DEBUG_MIN_HELD,
            Self::Refused => families::RETRY_BUDGET_REFUSED,
            Self::Balance => families::RETRY_BUDGET_BALANCE,
        }
    }
}
