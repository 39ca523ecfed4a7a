//! A retry budget: how many retries the requests of the last interval pay
//! for, and how many there are anyway.
//!
//! Two allowances. *Share*: retries of the last `interval`, and those for which
//! credit is held, are at most `percent` of its requests. *Floor*: the same
//! over a time in which `minRetryRate` gives a whole number of retries, at
//! least a second. So over any `interval` there are at most
//! percent·requests + minRetryRate·interval + one second of minRetryRate
//! (at least 1) retries, and the floor cannot go in one burst.
//!
//! All workers post to one account. Credit is held first and
//! looked at afterwards, and what is used is counted before it is no longer
//! held, so that workers who do so at the same time both see each other.
//!
//! Source: GEP-3388; Finagle's `RetryBudget` for the idea.

use btp_policy::spec::RetryConstraint;

use crate::host::metrics::Labels;
use crate::host::shared_state::accounts::{AccountId, Accounts, Entry};
use crate::retry::window::Window;

/// The allowance that pays for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Requests.
    Share,
    /// `minRetryRate`.
    Floor,
}

/// What a budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BudgetConfig {
    /// Micro-retries per request.
    share: u64,
    /// Nanoseconds over which requests and retries are counted.
    pub(crate) interval: u64,
    /// Retries in any `floor_span`.
    floor: u64,
    /// Nanoseconds.
    floor_span: u64,
}

/// One budget, as one worker sees it.
#[derive(Debug)]
pub(crate) struct Budget {
    labels: Labels,
    config: BudgetConfig,
    account: AccountId,
    requests: Window,
    share_used: Window,
    floor_used: Window,
    /// Until then there is taken to be credit.
    trusted_until: u64,
    /// In which slice requests were read last.
    read_in: Option<u64>,
    /// The slice of the last withdrawal with room, for share and floor.
    had_room: [Option<u64>; 2],
    /// When the balance was published last.
    published: Option<u64>,
}

const RETRY: u64 = 1_000_000;
const PPM_OF_A_PERCENT: u64 = 10_000;
const SECOND: u64 = 1_000_000_000;
/// Readings over the interval: the edge is at most so much off. Requests are read once
/// in each, and again before a retry is refused.
const SLICES: u64 = 100;
const FLOOR_SLICES: u64 = 32;

impl BudgetConfig {
    pub(crate) fn of(constraint: &RetryConstraint) -> Self {
        let count = u64::from(constraint.min_retries).max(1);
        let every = constraint.min_retries_interval.as_nanos();
        let floor = count.saturating_mul(SECOND).div_ceil(every.max(1)).max(1);
        Self {
            share: u64::from(constraint.percent) * PPM_OF_A_PERCENT,
            interval: constraint.interval.as_nanos(),
            floor,
            floor_span: floor.saturating_mul(every).div_ceil(count),
        }
    }
}

impl Allowance {
    /// Where credit from it is entered that is held.
    pub(crate) fn held(self) -> Entry {
        match self {
            Self::Share => Entry::Held,
            Self::Floor => Entry::MinHeld,
        }
    }

    /// Where retries are entered that it has paid for.
    fn used(self) -> Entry {
        match self {
            Self::Share => Entry::Retries,
            Self::Floor => Entry::MinRetries,
        }
    }
}

impl Budget {
    /// The budget with these labels. `None` if the host cannot keep its account.
    /// When other workers used what was used before is not known: it is taken
    /// to be now.
    pub(crate) fn open<A: Accounts>(
        labels: &Labels,
        config: BudgetConfig,
        host: &A,
        now: u64,
    ) -> Option<Self> {
        let account = host.account(labels)?;
        let used = |span, entry| Window::of_all(span, now, host.total(account, entry));
        Some(Self {
            labels: labels.clone(),
            config,
            requests: Window::new(config.interval, now, host.total(account, Entry::Requests)),
            share_used: used(config.interval, Entry::Retries),
            floor_used: used(config.floor_span, Entry::MinRetries),
            account,
            trusted_until: 0,
            read_in: None,
            had_room: [None; 2],
            published: None,
        })
    }

    /// Another configuration from now on; what has happened stays.
    pub(crate) fn reconfigure(&mut self, config: BudgetConfig) {
        self.config = config;
        self.requests.set_span(config.interval);
        self.share_used.set_span(config.interval);
        self.floor_used.set_span(config.floor_span);
        self.trusted_until = 0;
        self.read_in = None;
    }

    /// A request's first attempt is under way.
    pub(crate) fn deposit<A: Accounts>(&mut self, host: &A, now: u64) {
        host.post(self.account, Entry::Requests, 1);
        self.glance_at_requests(host, now);
    }

    /// Whether the budget would pay for a retry, as far as this worker knows. Called for
    /// every request, so a positive answer is kept for a slice.
    pub(crate) fn has_credit<A: Accounts>(&mut self, host: &A, now: u64) -> bool {
        if now < self.trusted_until {
            return true;
        }
        let slice = self.slice();
        self.observe_requests(host, now);
        let has = [Allowance::Share, Allowance::Floor]
            .into_iter()
            .any(|allowance| self.remaining(host, now, allowance) > 0);
        if has {
            self.trusted_until = now.saturating_add(slice);
        }
        if self
            .published
            .is_none_or(|last| now / slice != last / slice)
        {
            self.publish(host, now);
        }
        has
    }

    /// Holds credit for one retry, and says whose; `None` if there is none.
    pub(crate) fn withdraw<A: Accounts>(&mut self, host: &A, now: u64) -> Option<Allowance> {
        let is_fresh = self.glance_at_requests(host, now);
        let mut allowance = self.withdraw_from_any(host, now);
        if allowance.is_none() && !is_fresh {
            // Requests may have come since.
            self.observe_requests(host, now);
            allowance = self.withdraw_from_any(host, now);
        }
        if allowance.is_none() {
            self.trusted_until = 0;
        }
        allowance
    }

    fn withdraw_from_any<A: Accounts>(&mut self, host: &A, now: u64) -> Option<Allowance> {
        let mut all = [Allowance::Share, Allowance::Floor].into_iter();
        all.find(|allowance| self.withdraw_from(*allowance, host, now))
    }

    /// Holds first and looks then. Where there was no room a moment ago it looks before as
    /// well, so that many that find none do not take the last from one who would.
    fn withdraw_from<A: Accounts>(&mut self, allowance: Allowance, host: &A, now: u64) -> bool {
        let slice = now / self.slice();
        let is_trusted = self.had_room(allowance).take() == Some(slice);
        if !is_trusted && self.remaining(host, now, allowance) < 1 {
            return false;
        }
        host.post(self.account, allowance.held(), 1);
        let stays = self.remaining(host, now, allowance) >= 0;
        if stays {
            *self.had_room(allowance) = Some(slice);
        } else {
            host.post(self.account, allowance.held(), -1);
        }
        stays
    }

    /// The retry that credit is held for happens.
    pub(crate) fn spend<A: Accounts>(&mut self, host: &A, now: u64, allowance: Allowance) {
        host.post(self.account, allowance.used(), 1);
        host.post(self.account, allowance.held(), -1);
        self.observe_used(host, now, allowance);
    }

    /// Retries happen, or have happened, that no credit is held for.
    pub(crate) fn charge<A: Accounts>(
        &mut self,
        host: &A,
        now: u64,
        allowance: Allowance,
        retries: u32,
    ) {
        if retries > 0 {
            host.post(self.account, allowance.used(), i64::from(retries));
            self.observe_used(host, now, allowance);
        }
    }

    /// The retry does not happen.
    pub(crate) fn refund<A: Accounts>(&mut self, host: &A, allowance: Allowance) {
        host.post(self.account, allowance.held(), -1);
    }

    /// A retry was refused.
    pub(crate) fn count_refusal<A: Accounts>(&self, host: &A) {
        host.post(self.account, Entry::Refused, 1);
    }

    /// The account of this budget.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn interval(&self) -> u64 {
        self.config.interval
    }

    /// Retries left in this allowance; negative if concurrent workers overdrew
    /// it.
    fn remaining<A: Accounts>(&mut self, host: &A, now: u64, allowance: Allowance) -> i64 {
        // In this order: see the head of this file.
        let held = host.total(self.account, allowance.held());
        self.observe_used(host, now, allowance);
        let (pays, used) = match allowance {
            Allowance::Share => {
                let earned = self.requests.gained(now).saturating_mul(self.config.share);
                (earned / RETRY, self.share_used.spent())
            }
            Allowance::Floor => (self.config.floor, self.floor_used.spent()),
        };
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        signed(pays).saturating_sub(signed(used.saturating_add(held)))
    }

    fn had_room(&mut self, allowance: Allowance) -> &mut Option<u64> {
        let [share, floor] = &mut self.had_room;
        match allowance {
            Allowance::Share => share,
            Allowance::Floor => floor,
        }
    }

    /// Nanoseconds for which a reading of requests is good enough.
    fn slice(&self) -> u64 {
        (self.config.interval / SLICES).max(1)
    }

    /// Reads how many requests there were, unless that was done in this slice; whether it
    /// was done now.
    fn glance_at_requests<A: Accounts>(&mut self, host: &A, now: u64) -> bool {
        let is_due = self.read_in != Some(now / self.slice());
        if is_due {
            self.observe_requests(host, now);
        }
        is_due
    }

    fn observe_requests<A: Accounts>(&mut self, host: &A, now: u64) {
        self.read_in = Some(now / self.slice());
        let requests = host.total(self.account, Entry::Requests);
        self.requests.observe(now, requests, SLICES);
    }

    fn observe_used<A: Accounts>(&mut self, host: &A, now: u64, allowance: Allowance) {
        let used = host.total(self.account, allowance.used());
        match allowance {
            Allowance::Share => self.share_used.observe(now, used, SLICES),
            Allowance::Floor => self.floor_used.observe(now, used, FLOOR_SLICES),
        }
    }

    /// Shows the balance to those who look from outside.
    fn publish<A: Accounts>(&mut self, host: &A, now: u64) {
        self.published = Some(now);
        let allowances = [Allowance::Share, Allowance::Floor];
        let balance: i64 = allowances
            .into_iter()
            .map(|allowance| self.remaining(host, now, allowance).max(0))
            .sum();
        let balance = u64::try_from(balance).unwrap_or(0);
        host.set(self.account, Entry::Balance, balance);
    }
}

#[cfg(test)]
mod tests;
