//! The downstream instance's part: it opens an exchange when the request goes on
//! to the router, and settles it when the final response begins.

use std::sync::Arc;

use super::{Entry, ExchangeId, Ledger, SWEPT, TrackedExchange, UpstreamObserver};
use crate::host::shared_state::accounts::Accounts;
use crate::host::shared_state::journal::Journals;
use crate::host::{Host, is_via_upstream};
use crate::retry::budget::{Allowance, Budget};
use crate::retry::outcomes::RetryableOutcomes;
use crate::retry::reservation::Reservation;
use crate::retry::response_outcome;

/// What the downstream instance requires when a request goes on.
#[derive(Debug)]
pub(crate) struct BudgetRequest {
    pub(crate) budget: usize,
    pub(crate) outcomes: Option<Arc<RetryableOutcomes>>,
    /// The request may be retried at all.
    pub(crate) may_retry: bool,
    /// It holds its credit from the start, even if an upstream instance sees its attempts.
    pub(crate) reserves: bool,
}

/// The answer to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The exchange, and how the upstream instance finds it.
    pub(crate) id: ExchangeId,
    /// The most retries that are allowed now; `None`: no bound but the
    /// policy's own.
    pub(crate) limit: Option<u32>,
}

/// The end of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// A retry was refused.
    pub(crate) refused: bool,
    /// The response carries a header of ours.
    pub(crate) marked: bool,
    /// The upstream instance is missing, which is news.
    pub(crate) observer_is_missing: bool,
}

impl Ledger {
    /// A request goes on to the router.
    pub(crate) fn open<H: Accounts + Journals>(
        &mut self,
        request: BudgetRequest,
        random: u64,
        host: &H,
        now: u64,
    ) -> Option<Opened> {
        self.sweep(host, now);
        let entry = self.budgets.get_mut(request.budget)?;
        let mut exchange = TrackedExchange::new(request.budget, request.outcomes);
        exchange.reserves = request.reserves;
        if !request.may_retry {
            exchange.limit = Some(0);
        } else if entry.observer.is_there() && !request.reserves {
            // Each retry will be paid for when its cause arrives. With nothing
            // to pay with the router need not try.
            let budget = entry.budget.as_mut();
            if !budget.is_some_and(|budget| budget.has_credit(host, now)) {
                exchange.limit = Some(0);
                exchange.starved = true;
            }
        } else {
            // Nobody may see the retry happen: it is paid for now, or forbidden.
            let budget = entry.budget.as_mut();
            exchange.reservation = budget.and_then(|it| Reservation::take(it, host, now));
            exchange.limit = Some(u32::from(exchange.reservation.is_some()));
            exchange.starved = exchange.reservation.is_none();
        }
        let limit = exchange.limit;
        let worker = *self.worker.get_or_insert(random);
        let id = self.exchanges.insert(worker, exchange)?;
        Some(Opened { id, limit })
    }

    /// The final response begins, or the exchange is over without one.
    pub(crate) fn settle<H: Host>(
        &mut self,
        id: ExchangeId,
        has_response: bool,
        host: &mut H,
        now: u64,
    ) -> Settled {
        // Settled once: the end of the exchange comes after its response.
        let found = self.exchanges.get(id);
        let Some(exchange) = found.filter(|exchange| !exchange.settled) else {
            return Settled::default();
        };
        exchange.settled = true;
        let Some(Entry {
            budget: Some(budget),
            observer,
        }) = self.budgets.get_mut(exchange.budget)
        else {
            return Settled::default();
        };
        // What the upstream instance has seen it has paid for.
        let observer_is_missing = exchange.attempts == 0
            && settle_unobserved(exchange, budget, observer, (has_response, now), host);
        // The retry that it was for does not happen any more.
        if let Some(reservation) = exchange.reservation.take() {
            reservation.refund(budget, host);
        }
        Settled {
            refused: exchange.refused,
            marked: exchange.marked,
            observer_is_missing,
        }
    }

    /// Whether the final response has begun.
    pub(crate) fn is_settled(&mut self, id: ExchangeId) -> bool {
        self.exchanges
            .get(id)
            .is_none_or(|exchange| exchange.settled)
    }

    /// The exchange is over and forgotten. Credit that a late attempt has taken
    /// comes back.
    pub(crate) fn close<H: Accounts + Journals>(&mut self, id: ExchangeId, host: &H) {
        let Some(exchange) = self.exchanges.remove(id) else {
            return;
        };
        let entry = self.budgets.get_mut(exchange.budget);
        let budget = entry.and_then(|entry| entry.budget.as_mut());
        if let (Some(budget), Some(reservation)) = (budget, exchange.reservation) {
            reservation.refund(budget, host);
        }
    }

    /// Counts reservations older than an interval as used. Their holders keep what they
    /// have paid for, and the budget counts them no longer than other retries.
    fn sweep<H: Accounts + Journals>(&mut self, host: &H, now: u64) {
        for _ in 0..SWEPT {
            let Some(exchange) = self.exchanges.next() else {
                continue;
            };
            let Some(reservation) = exchange.reservation else {
                continue;
            };
            let budget = self.budgets.get_mut(exchange.budget);
            if let Some(budget) = budget.and_then(|entry| entry.budget.as_mut())
                && now.saturating_sub(reservation.since) > budget.interval()
            {
                reservation.spend(budget, host, now);
                exchange.reservation = None;
                exchange.paid = true;
            }
        }
    }
}

/// Settles an exchange of which no attempt was seen: the upstream instance is
/// missing, or nothing went out. What the router did the host tells. Whether it
/// is news that the instance is missing.
fn settle_unobserved<H: Host>(
    exchange: &mut TrackedExchange,
    budget: &mut Budget,
    observer: &mut UpstreamObserver,
    (has_response, now): (bool, u64),
    host: &mut H,
) -> bool {
    let attempts = host.attempts();
    // The request counts, as it would have with its first attempt.
    if attempts > 0 {
        budget.deposit(host, now);
    }
    // An exchange that reserves is not named to the upstream instance, so that
    // it proves nothing.
    let is_news = has_response
        && !exchange.reserves
        && !observer.is_known_to_be_missing()
        && is_via_upstream(host)
        && observer.miss();
    let mut unpaid = attempts.saturating_sub(1);
    if unpaid > 0
        && let Some(reservation) = exchange.reservation.take()
    {
        reservation.spend(budget, host, now);
        unpaid -= 1;
    }
    // The others were allowed because the upstream instance was trusted to see
    // them: they count as used, so that later retries pay for them.
    budget.charge(host, now, Allowance::Share, unpaid);
    // The router was told not to retry. If the response is one that it would have
    // retried, that was a refusal.
    let retries = exchange.outcomes.as_ref();
    let retries = retries.filter(|outcomes| outcomes.max_retries > 0);
    if exchange.starved
        && let Some(retries) = retries
        && has_response
        && is_via_upstream(host)
        && let Some(outcome) = response_outcome(host, retries.ask_grpc())
        && retries.contain(outcome.status, outcome.grpc_status)
    {
        exchange.refused = true;
        budget.count_refusal(host);
    }
    is_news
}
