//! The budgets of one worker and the exchanges that draw on them.
//!
//! It outlives configurations, so that a live update forgets nothing, and it
//! is where the two instances of the filter meet: the downstream one opens
//! and settles an exchange (`downstream`), the upstream one reports each attempt
//! (`upstream`).
//!
//! With both in place the router may retry, and each retry is paid for when
//! the response that causes it arrives (*gate*). With the downstream instance
//! alone every request must hold the credit for its one retry from the start
//! (*reserve*). Which of the two holds is found out for each budget: by the
//! attempts that are seen, and by responses that came without one; or the policy
//! says so.

mod downstream;
mod slab;
mod upstream;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::host::metrics::Labels;
use crate::host::shared_state::accounts::Accounts;
use crate::retry::budget::{Budget, BudgetConfig};
use crate::retry::outcomes::RetryableOutcomes;
use crate::retry::reservation::Reservation;

pub(crate) use downstream::BudgetRequest;
pub(crate) use slab::ExchangeId;
use slab::Slab;
pub(crate) use upstream::{AttemptDecision, ResponseOutcome};

/// What a worker remembers of retries; one for each worker of a host.
#[derive(Debug, Default)]
pub struct Ledger {
    /// A random number that tells this worker's exchanges from others'.
    worker: Option<u64>,
    exchanges: Slab,
    budgets: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

/// One exchange whose retries are bounded.
#[derive(Debug)]
struct TrackedExchange {
    /// Its budget.
    budget: usize,
    /// What is retried; `None`: only the route knows.
    outcomes: Option<Arc<RetryableOutcomes>>,
    /// Retries that the router was told, if it was told.
    limit: Option<u32>,
    /// The limit is there because the budget was empty.
    starved: bool,
    /// Attempts that the upstream instance saw, and those that are under way.
    attempts: u32,
    live: u32,
    /// Attempts that wait for credit, or for the others to end.
    waiting: u32,
    /// Credit for the next retry.
    reservation: Option<Reservation>,
    /// The next retry has been paid for already.
    paid: bool,
    /// A retry that would have been was refused.
    refused: bool,
    /// The response carries a header of ours.
    marked: bool,
    /// The final response has begun.
    settled: bool,
    /// Its credit is held from the start, and no upstream instance is told of it.
    reserves: bool,
}

#[derive(Debug)]
struct Entry {
    /// `None` if the host cannot keep its account: then nothing is retried.
    budget: Option<Budget>,
    observer: UpstreamObserver,
}

/// Whether the upstream instance is in place: the *gate*.
#[derive(Debug)]
struct UpstreamObserver {
    /// Exchanges in a row of which an attempt was seen, and how many it takes.
    seen: u32,
    wanted: u32,
    announced: bool,
}

/// Exchanges in a row whose attempts are seen before the upstream instance is
/// trusted again.
const WANTED_AFTER_A_MISS: u32 = 32;
/// Old reservations that are looked up with each exchange.
const SWEPT: usize = 2;

impl UpstreamObserver {
    fn is_there(&self) -> bool {
        self.seen >= self.wanted
    }

    /// Whether to miss it once more would change nothing.
    fn is_known_to_be_missing(&self) -> bool {
        self.announced && self.seen == 0
    }

    /// The upstream instance was missed; whether that is news.
    fn miss(&mut self) -> bool {
        self.seen = 0;
        self.wanted = WANTED_AFTER_A_MISS;
        !std::mem::replace(&mut self.announced, true)
    }
}

impl TrackedExchange {
    fn new(budget: usize, outcomes: Option<Arc<RetryableOutcomes>>) -> Self {
        Self {
            budget,
            outcomes,
            limit: None,
            starved: false,
            attempts: 0,
            live: 0,
            waiting: 0,
            reservation: None,
            paid: false,
            refused: false,
            marked: false,
            settled: false,
            reserves: false,
        }
    }

    /// Counts a refused retry, once for the exchange.
    fn refuse<A: Accounts>(&mut self, budget: &Budget, host: &A) {
        if !std::mem::replace(&mut self.refused, true) {
            budget.count_refusal(host);
        }
    }
}

impl Ledger {
    /// Whether no exchange is open.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// The budget with these labels, under this configuration.
    pub(crate) fn budget<A: Accounts>(
        &mut self,
        labels: &Labels,
        config: BudgetConfig,
        host: &A,
        now: u64,
    ) -> usize {
        let name = labels.dotted_prefix();
        if let Some(index) = self.by_name.get(&name) {
            if let Some(Entry { budget, .. }) = self.budgets.get_mut(*index) {
                match budget {
                    Some(budget) => budget.reconfigure(config),
                    None => *budget = Budget::open(labels, config, host, now),
                }
            }
            return *index;
        }
        let index = self.budgets.len();
        self.budgets.push(Entry {
            budget: Budget::open(labels, config, host, now),
            observer: UpstreamObserver {
                seen: 0,
                wanted: 1,
                announced: false,
            },
        });
        self.by_name.insert(name, index);
        index
    }
}

#[cfg(test)]
mod tests;
