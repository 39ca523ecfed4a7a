//! Tracks what this worker holds of shared quotas. It sends heartbeats as long as
//! it holds anything, and looks for claims of dead workers when a quota is full.

use crate::event::Event;
use crate::host::Host;
use crate::host::shared_state::QuotaId;
use crate::shared::gauges::QuotaGauges;
use crate::shared::liveness::{self, HEARTBEAT_NS};
use crate::shared::quota::{self, Change, Claim, ClaimOutcome, DroppedClaim, Quota};
use hashbrown::HashMap;

/// A worker's claims on all quotas.
#[derive(Debug)]
pub(crate) struct ClaimTracker {
    id: Option<u64>,
    amount: u64,
    /// It sends heartbeats.
    heartbeating: bool,
    next_heartbeat: u64,
    /// Before this time a quota is not searched for dead workers again. Each quota has its
    /// own time: one that is always full, as when a client requests more than its share,
    /// must not delay the search of others.
    next_search: HashMap<QuotaId, u64>,
    pub(crate) gauges: QuotaGauges,
}

/// How often a quota is searched for dead workers at most: a search costs as
/// much as a claim.
const SEARCH_NS: u64 = 1_000_000_000;
/// The one holder of all claims where workers do not die.
const PROCESS: u64 = 1;

impl ClaimTracker {
    pub(crate) fn new(gauges: QuotaGauges) -> Self {
        Self {
            id: None,
            amount: 0,
            heartbeating: false,
            next_heartbeat: 0,
            next_search: HashMap::new(),
            gauges,
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn is_idle(&self) -> bool {
        self.amount == 0
    }

    /// Takes as much of a quota as there is room for, at least and at most so
    /// much.
    #[inline(never)]
    pub(crate) fn take<H: Host>(
        &mut self,
        quota: Quota,
        key: u64,
        amount: (u64, u64),
        event: &mut Event<'_, H>,
    ) -> Change {
        let claim = self.claim(key, event.host);
        // Whoever holds something must be known to live, or others would take it
        // away; so the first heartbeat comes before the first claim.
        if H::WORKERS_DIE && !self.heartbeating {
            let now = event.now_ns();
            if !liveness::heartbeat(event.host, claim.worker, now) {
                return Change::default();
            }
            self.heartbeating = true;
            self.next_heartbeat = now.saturating_add(HEARTBEAT_NS);
        }
        let mut change = quota.take(event.host, claim, amount);
        if H::WORKERS_DIE && matches!(change.outcome, ClaimOutcome::Full | ClaimOutcome::NoRoom) {
            let now = event.now_ns();
            let next_search = self.next_search.entry(quota.id).or_default();
            if now >= *next_search {
                *next_search = now.saturating_add(SEARCH_NS);
                let expired = self.expired_workers(quota.id, event.host, now);
                let by = self.drop_expired(quota, &expired, event);
                change = quota.take(event.host, claim, amount);
                change.by = change.by.saturating_add(by);
            }
        }
        self.amount = self.amount.saturating_add(change.taken);
        change
    }

    /// Gives so much back; gives by how much changed what is held.
    #[inline(never)]
    pub(crate) fn give_back<H: Host>(
        &mut self,
        quota: Quota,
        key: u64,
        amount: u64,
        host: &mut H,
    ) -> i64 {
        let claim = self.claim(key, host);
        let by = quota.give_back(host, claim, amount);
        self.amount = self.amount.saturating_sub(amount);
        by
    }

    /// The next heartbeat is due.
    pub(crate) fn tick<H: Host>(&mut self, event: &mut Event<'_, H>) {
        self.stop_if_idle(event.host);
        if self.heartbeating {
            let now = event.now_ns();
            let worker = self.claim(0, event.host).worker;
            let _ = liveness::heartbeat(event.host, worker, now);
            self.next_heartbeat = now.saturating_add(HEARTBEAT_NS);
        }
    }

    /// When the next heartbeat is due.
    pub(crate) fn next_heartbeat(&self) -> Option<u64> {
        self.heartbeating.then_some(self.next_heartbeat)
    }

    /// Stops the heartbeats if nothing is held.
    pub(crate) fn stop_if_idle<H: Host>(&mut self, host: &mut H) {
        if self.heartbeating && self.amount == 0 {
            self.heartbeating = false;
            let worker = self.claim(0, host).worker;
            liveness::deregister(host, worker);
        }
    }

    /// Workers that hold something there and have missed their heartbeats.
    pub(crate) fn expired_workers<H: Host>(&self, id: QuotaId, host: &mut H, now: u64) -> Vec<u64> {
        // In this order: whoever holds something by now has sent a heartbeat
        // before.
        let mut claimants = quota::claimants(id, host);
        if claimants.is_empty() {
            return claimants;
        }
        let alive = liveness::alive(host, now);
        claimants.retain(|worker| Some(*worker) != self.id && !alive.contains(worker));
        claimants
    }

    /// Drops what expired workers hold where a quota is kept. Gives by how much
    /// changed what is held of this quota; the gauges of others are corrected.
    fn drop_expired<H: Host>(
        &self,
        quota: Quota,
        expired: &[u64],
        event: &mut Event<'_, H>,
    ) -> i64 {
        if expired.is_empty() {
            return 0;
        }
        let lost = quota::drop_claims(quota.id, expired, event.host, |_| true);
        let (own, others): (Vec<DroppedClaim>, Vec<DroppedClaim>) =
            lost.into_iter().partition(|it| it.owner == quota.owner);
        self.gauges.correct(&others, event.out);
        own.iter()
            .fold(0, |by: i64, lost| by.saturating_sub(lost.signed()))
    }

    /// What tells this worker from the others, and from itself under another
    /// configuration or before its VM died, is drawn at random.
    fn claim<H: Host>(&mut self, key: u64, host: &mut H) -> Claim {
        let draw = || match H::WORKERS_DIE {
            true => host.secret().unwrap_or_else(|| host.random()),
            false => PROCESS,
        };
        let worker = *self.id.get_or_insert_with(draw);
        Claim { key, worker }
    }
}

#[cfg(test)]
mod tests;
