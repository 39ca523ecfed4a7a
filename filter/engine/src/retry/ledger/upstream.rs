//! The upstream instance's part: it sees each attempt begin, be answered and end.

use super::{ExchangeId, Ledger, TrackedExchange};
use crate::host::shared_state::accounts::Accounts;
use crate::host::shared_state::journal::Journals;
use crate::retry::budget::Budget;
use crate::retry::outcomes::RetryableOutcomes;
use crate::retry::reservation::Reservation;

/// The decision about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptDecision {
    /// It goes on.
    Proceed,
    /// It waits for the other one.
    Wait,
    /// It is answered instead.
    Refuse,
}

/// A response, as far as retries go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseOutcome {
    pub(crate) status: u16,
    pub(crate) grpc_status: Option<u8>,
    /// It carries `x-envoy-ratelimited` of its own.
    pub(crate) is_rate_limited: bool,
}

impl Ledger {
    /// An attempt reaches the upstream instance; its number, from 1. `None` if it
    /// belongs to no exchange of this worker: a mirrored request, say.
    pub(crate) fn begin_attempt<H: Accounts + Journals>(
        &mut self,
        id: ExchangeId,
        host: &H,
        now: u64,
    ) -> Option<(u32, AttemptDecision)> {
        if self.worker != Some(id.worker) {
            return None;
        }
        let exchange = self.exchanges.get(id)?;
        let entry = self.budgets.get_mut(exchange.budget)?;
        let budget = entry.budget.as_mut()?;
        exchange.attempts = exchange.attempts.saturating_add(1);
        let number = exchange.attempts;
        if number == 1 {
            exchange.live = 1;
            budget.deposit(host, now);
            entry.observer.seen = entry.observer.seen.saturating_add(1);
            // It was not known that the exchange would be seen. As it is, others
            // may have the credit now.
            if let Some(reservation) = exchange.reservation.take() {
                reservation.refund(budget, host);
            }
            return Some((number, AttemptDecision::Proceed));
        }
        let decision = exchange.pay_for_retry(budget, host, now);
        if decision == AttemptDecision::Wait {
            exchange.waiting = exchange.waiting.saturating_add(1);
        }
        Some((number, decision))
    }

    /// An attempt that waits asks again.
    pub(crate) fn ask_again<H: Accounts + Journals>(
        &mut self,
        id: ExchangeId,
        host: &H,
        now: u64,
    ) -> AttemptDecision {
        let Some((exchange, budget)) = self.exchange(id) else {
            return AttemptDecision::Refuse;
        };
        let decision = exchange.pay_for_retry(budget, host, now);
        if decision != AttemptDecision::Wait {
            exchange.waiting = exchange.waiting.saturating_sub(1);
        }
        decision
    }

    /// Whether the gRPC status of a response matters to the router. If not by the policy,
    /// it may by headers of an internal client's: such a retry pays when it comes.
    pub(crate) fn asks_grpc(&mut self, id: ExchangeId) -> bool {
        let outcomes = self.exchanges.get(id).and_then(|it| it.outcomes.as_deref());
        outcomes.is_none_or(RetryableOutcomes::ask_grpc)
    }

    /// Response headers came for attempt `number`; whether the router must be
    /// kept from retrying by a header.
    pub(crate) fn on_response<H: Accounts + Journals>(
        &mut self,
        id: ExchangeId,
        number: u32,
        outcome: ResponseOutcome,
        host: &H,
        now: u64,
    ) -> bool {
        let Some((exchange, budget)) = self.exchange(id) else {
            return false;
        };
        // Once the client has its response nothing is retried.
        if exchange.settled {
            return false;
        }
        let is_retryable = match &exchange.outcomes {
            Some(known) => known.contain(outcome.status, outcome.grpc_status),
            None => outcome.may_be_retryable(),
        };
        let outcomes = exchange.outcomes.as_deref();
        let is_policy_to_retry = outcomes.is_some_and(|outcomes| outcomes.max_retries > 0);
        if exchange.starved && is_retryable && is_policy_to_retry {
            // The router was told not to retry when the request went on. What
            // it would have retried now is the retry that was refused then.
            if exchange.limit.is_some_and(|limit| number == limit + 1) {
                exchange.refuse(budget, host);
            }
            return false;
        }
        // A client's or a route's own triggers may go further than the policy's.
        let may_be_retried = is_retryable || outcome.may_be_retryable();
        // What the origin has marked itself the router does not retry.
        if !may_be_retried || outcome.is_rate_limited || exchange.is_last_of_all(number) {
            return false;
        }
        // The response of a hedged attempt may have paid before this one.
        if exchange.reservation.is_some() || exchange.paid {
            return false;
        }
        exchange.reservation = Reservation::take(budget, host, now);
        if exchange.reservation.is_some() {
            return false;
        }
        // There is no credit, so that the router is stopped. Only a retry of the
        // policy's own is known to be one that would have been.
        if is_retryable {
            exchange.refused = true;
            budget.count_refusal(host);
        }
        exchange.marked = true;
        true
    }

    /// An attempt is over that went on, or that waited until now.
    pub(crate) fn end_attempt(&mut self, id: ExchangeId, waited: bool) {
        if let Some(exchange) = self.exchanges.get(id) {
            let count = if waited {
                &mut exchange.waiting
            } else {
                &mut exchange.live
            };
            *count = count.saturating_sub(1);
        }
    }

    /// An exchange and its budget.
    fn exchange(&mut self, id: ExchangeId) -> Option<(&mut TrackedExchange, &mut Budget)> {
        let exchange = self.exchanges.get(id)?;
        let entry = self.budgets.get_mut(exchange.budget)?;
        Some((exchange, entry.budget.as_mut()?))
    }
}

impl TrackedExchange {
    /// Whether no retry follows the response to attempt `number`, whatever it
    /// says.
    fn is_last_of_all(&self, number: u32) -> bool {
        let outcomes = self.outcomes.as_deref();
        let has_none_left = outcomes.is_some_and(|outcomes| number > outcomes.max_retries)
            || self.limit.is_some_and(|limit| number > limit);
        // An attempt that a hedge has overtaken ends nothing, unless that hedge
        // still waits and never went.
        let is_overtaken = number < self.attempts;
        let hedge_waits = self.live <= 1 && self.waiting > 0;
        has_none_left || (is_overtaken && !hedge_waits)
    }

    /// A further attempt is about to go: pays for it with what is there.
    fn pay_for_retry<H: Accounts + Journals>(
        &mut self,
        budget: &mut Budget,
        host: &H,
        now: u64,
    ) -> AttemptDecision {
        let reservation = self.reservation.take();
        // A reservation that became old has been counted as used.
        if std::mem::take(&mut self.paid) {
            self.live = self.live.saturating_add(1);
            return AttemptDecision::Proceed;
        }
        match reservation.or_else(|| Reservation::take(budget, host, now)) {
            Some(reservation) => {
                reservation.spend(budget, host, now);
                self.live = self.live.saturating_add(1);
                AttemptDecision::Proceed
            }
            // A hedge: the other attempt may still answer the client.
            None if self.live > 0 => AttemptDecision::Wait,
            None => {
                self.refuse(budget, host);
                AttemptDecision::Refuse
            }
        }
    }
}

impl ResponseOutcome {
    /// Whether some trigger or other may be for this response.
    fn may_be_retryable(self) -> bool {
        self.status >= 400 || self.grpc_status.is_some_and(|status| status > 0)
    }
}
