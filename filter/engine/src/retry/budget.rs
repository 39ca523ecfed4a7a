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
//! The account is kept in process-wide numbers. Credit is held first and
//! looked at afterwards, and what is used is counted before it is no longer
//! held, so that workers who do so at the same time both see each other.
//!
//! Source: GEP-3388; Finagle's `RetryBudget` for the idea.

use btp_policy::spec::RetryConstraint;

use crate::host::metrics::{MeterId, MeterKind, Meters};
use crate::retry::window::Window;

/// What pays for a retry.
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
    name: String,
    config: BudgetConfig,
    account: Account,
    requests: Window,
    share_used: Window,
    floor_used: Window,
    /// Until then there is taken to be credit.
    trusted_until: u64,
    /// When the balance was published last.
    published: Option<u64>,
}

/// Where the account is kept.
#[derive(Debug)]
struct Account {
    requests: MeterId,
    share_used: MeterId,
    share_held: MeterId,
    floor_used: MeterId,
    floor_held: MeterId,
    refused: MeterId,
    balance: MeterId,
}

const RETRY: u64 = 1_000_000;
const PPM_OF_A_PERCENT: u64 = 10_000;
const SECOND: u64 = 1_000_000_000;
/// Readings over the interval: the edge is at most so much off.
const SLICES: u64 = 100;
const FLOOR_SLICES: u64 = 32;

/// The name of the gauge of what is held of the budget of this name.
pub(crate) fn gauge_of_reserved(name: &str, allowance: Allowance) -> String {
    let gauge = match allowance {
        Allowance::Share => "held",
        Allowance::Floor => "min_held",
    };
    format!("{name}.retry_budget_{gauge}")
}

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

impl Account {
    fn open<M: Meters>(name: &str, host: &M) -> Option<Self> {
        let find = |kind, what: &str| host.meter(kind, &format!("{name}.retry_budget_{what}"));
        Some(Self {
            requests: find(MeterKind::Counter, "requests")?,
            share_used: find(MeterKind::Counter, "retries")?,
            share_held: host.meter(MeterKind::Gauge, &gauge_of_reserved(name, Allowance::Share))?,
            floor_used: find(MeterKind::Counter, "min_retries")?,
            floor_held: host.meter(MeterKind::Gauge, &gauge_of_reserved(name, Allowance::Floor))?,
            refused: find(MeterKind::Counter, "refused")?,
            balance: find(MeterKind::Gauge, "balance")?,
        })
    }

    fn held(&self, allowance: Allowance) -> MeterId {
        match allowance {
            Allowance::Share => self.share_held,
            Allowance::Floor => self.floor_held,
        }
    }

    fn used(&self, allowance: Allowance) -> MeterId {
        match allowance {
            Allowance::Share => self.share_used,
            Allowance::Floor => self.floor_used,
        }
    }
}

impl Budget {
    /// The budget of this name. `None` if the host cannot keep its account.
    /// When other workers used what was used before is not known: it is taken
    /// to be now.
    pub(crate) fn open<M: Meters>(
        name: &str,
        config: BudgetConfig,
        host: &M,
        now: u64,
    ) -> Option<Self> {
        let account = Account::open(name, host)?;
        let used = |span, meter| Window::of_all(span, now, host.level(meter));
        Some(Self {
            name: name.to_owned(),
            config,
            requests: Window::new(config.interval, now, host.level(account.requests)),
            share_used: used(config.interval, account.share_used),
            floor_used: used(config.floor_span, account.floor_used),
            account,
            trusted_until: 0,
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
    }

    /// A request's first attempt is under way.
    pub(crate) fn deposit<M: Meters>(&mut self, host: &M, now: u64) {
        host.adjust(self.account.requests, 1);
        self.observe_requests(host, now);
    }

    /// Whether a retry would be paid for, as far as this worker knows. Asked
    /// for every request, so the answer yes is kept for a slice.
    pub(crate) fn has_credit<M: Meters>(&mut self, host: &M, now: u64) -> bool {
        if now < self.trusted_until {
            return true;
        }
        let slice = self.config.interval / SLICES;
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
    pub(crate) fn withdraw<M: Meters>(&mut self, host: &M, now: u64) -> Option<Allowance> {
        self.observe_requests(host, now);
        let allowance = [Allowance::Share, Allowance::Floor]
            .into_iter()
            .find(|allowance| {
                if self.remaining(host, now, *allowance) < 1 {
                    return false;
                }
                host.adjust(self.account.held(*allowance), 1);
                let stays = self.remaining(host, now, *allowance) >= 0;
                if !stays {
                    host.adjust(self.account.held(*allowance), -1);
                }
                stays
            });
        if allowance.is_none() {
            self.trusted_until = 0;
        }
        allowance
    }

    /// The retry that credit is held for happens.
    pub(crate) fn spend<M: Meters>(&mut self, host: &M, now: u64, allowance: Allowance) {
        host.adjust(self.account.used(allowance), 1);
        host.adjust(self.account.held(allowance), -1);
        self.observe_used(host, now, allowance);
    }

    /// Retries happen, or have happened, that no credit is held for.
    pub(crate) fn charge<M: Meters>(
        &mut self,
        host: &M,
        now: u64,
        allowance: Allowance,
        retries: u32,
    ) {
        if retries > 0 {
            host.adjust(self.account.used(allowance), i64::from(retries));
            self.observe_used(host, now, allowance);
        }
    }

    /// The retry does not happen.
    pub(crate) fn refund<M: Meters>(&mut self, host: &M, allowance: Allowance) {
        host.adjust(self.account.held(allowance), -1);
    }

    /// A retry was refused.
    pub(crate) fn count_refusal<M: Meters>(&self, host: &M) {
        host.adjust(self.account.refused, 1);
    }

    /// The name that its numbers begin with.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn interval(&self) -> u64 {
        self.config.interval
    }

    /// Retries left in this allowance; negative if concurrent workers overdrew
    /// it.
    fn remaining<M: Meters>(&mut self, host: &M, now: u64, allowance: Allowance) -> i64 {
        // In this order: see the head of this file.
        let held = host.level(self.account.held(allowance));
        self.observe_used(host, now, allowance);
        let (pays, used) = match allowance {
            Allowance::Share => {
                let earned = self.requests.gained().saturating_mul(self.config.share);
                (earned / RETRY, self.share_used.spent())
            }
            Allowance::Floor => (self.config.floor, self.floor_used.spent()),
        };
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        signed(pays).saturating_sub(signed(used.saturating_add(held)))
    }

    fn observe_requests<M: Meters>(&mut self, host: &M, now: u64) {
        let requests = host.level(self.account.requests);
        self.requests.observe(now, requests, SLICES);
    }

    fn observe_used<M: Meters>(&mut self, host: &M, now: u64, allowance: Allowance) {
        let used = host.level(self.account.used(allowance));
        match allowance {
            Allowance::Share => self.share_used.observe(now, used, SLICES),
            Allowance::Floor => self.floor_used.observe(now, used, FLOOR_SLICES),
        }
    }

    /// Shows the balance to those who look from outside.
    fn publish<M: Meters>(&mut self, host: &M, now: u64) {
        self.published = Some(now);
        let allowances = [Allowance::Share, Allowance::Floor];
        let balance: i64 = allowances
            .into_iter()
            .map(|allowance| self.remaining(host, now, allowance).max(0))
            .sum();
        host.set(self.account.balance, u64::try_from(balance).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests;
