//! Releases the claims of dead workers, whether or not anybody needs the room.
//!
//! A worker that holds something sends heartbeats ([`super::liveness`]). Every
//! plan of every worker looks at the registry, 8 to 12 s apart: at the very moment
//! at which the worker that has been silent longest would expire. It then takes
//! the claims of the dead out of the plan's tables and out of the gauges that
//! count them. The proxy's main thread has a worker of its own, which serves no
//! client and lives as long as the process, so that somebody always looks.
//!
//! A new plan also goes through all its tables once: what they hold may be older
//! than the registry's memory.

use crate::event::Event;
use crate::host::Host;
use crate::host::metrics::GaugeId;
use crate::host::shared_state::{Owner, QuotaId};
use crate::shared::claims::ClaimTracker;
use crate::shared::liveness::{self, EXPIRY_NS};
use crate::shared::quota;

/// Where a plan's quotas are kept, and the gauges that count what is held.
#[derive(Clone, Copy, Debug)]
pub(crate) enum QuotaTable {
    /// A cell of one quota.
    Own(QuotaId, GaugeId),
    /// So many cells of several quotas, from number 0: a claim says on which.
    Shared(u32),
}

/// When a worker looks, and how far it has come.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    /// When to look next; `None` if there is nothing to look after.
    next: Option<u64>,
    /// Going through all tables, and how many have been looked at.
    round: Option<u32>,
    /// When the latest round began: who was dead then has been found.
    found_until: u64,
}

/// Tables looked at in one go: half a millisecond's work.
const AT_ONCE: u32 = 512;
const PAUSE_NS: u64 = 10_000_000;

impl QuotaTable {
    fn count(self) -> u32 {
        match self {
            Self::Own(..) => 1,
            Self::Shared(count) => count,
        }
    }

    fn cell(self, index: u32) -> QuotaId {
        match self {
            Self::Own(id, _) => id,
            Self::Shared(_) => QuotaId::Shared(index),
        }
    }
}

impl Reaper {
    /// Begins to look after the tables of a plan.
    pub(crate) fn start<H: Host>(&mut self, tables: &[QuotaTable], event: &mut Event<'_, H>) {
        if tables.is_empty() || !H::WORKERS_DIE {
            return;
        }
        // Every worker that was alive before has sent a heartbeat by then.
        let next = event.now_ns().saturating_add(EXPIRY_NS);
        (self.next, self.round) = (Some(next), Some(0));
        self.found_until = next;
    }

    /// When to look next, if there is anything to look after.
    pub(crate) fn next_look(&self) -> Option<u64> {
        self.next
    }

    /// Looks, if it is time to.
    pub(crate) fn tick<H: Host>(
        &mut self,
        tables: &[QuotaTable],
        claims: &ClaimTracker,
        event: &mut Event<'_, H>,
    ) {
        let Some(due) = self.next else {
            return;
        };
        let now = event.now_ns();
        if now < due {
            return;
        }
        if let Some(done) = self.round {
            self.round = look_through(tables, done, claims, event);
        }
        let mut next = now.saturating_add(PAUSE_NS);
        if self.round.is_none() {
            let deaths = liveness::deaths(event.host, now);
            // Some may have died while the tables were gone through.
            if deaths.last_death.is_some_and(|at| at > self.found_until) {
                self.round = Some(0);
                self.found_until = now;
            } else {
                next = deaths.next;
            }
        }
        self.next = Some(next);
    }
}

/// Goes through some more tables; gives how many have been looked at, `None`
/// if that was all.
fn look_through<H: Host>(
    tables: &[QuotaTable],
    done: u32,
    claims: &ClaimTracker,
    event: &mut Event<'_, H>,
) -> Option<u32> {
    let end = done.saturating_add(AT_ONCE);
    let now = event.now_ns();
    let alive = liveness::alive(event.host, now);
    let mut before = 0_u32;
    for quota_table in tables {
        let count = quota_table.count();
        let from = done.saturating_sub(before).min(count);
        let to = end.saturating_sub(before).min(count);
        for index in from..to {
            let id = quota_table.cell(index);
            let claimants = quota::claimants(id, event.host);
            if claimants.iter().any(|worker| !alive.contains(worker)) {
                release(*quota_table, id, claims, event);
            }
        }
        before = before.saturating_add(count);
    }
    (end < before).then_some(end)
}

/// Releases what dead workers hold in one cell.
fn release<H: Host>(
    quota_table: QuotaTable,
    id: QuotaId,
    claims: &ClaimTracker,
    event: &mut Event<'_, H>,
) {
    let now = event.now_ns();
    let expired = claims.expired_workers(id, event.host, now);
    match quota_table {
        QuotaTable::Own(_, gauge) => {
            for lost in quota::drop_claims(id, &expired, event.host, |_| true) {
                event.adjust(gauge, -lost.signed());
            }
        }
        // What another plan counts is for that plan to correct.
        QuotaTable::Shared(_) => {
            let gauges = &claims.gauges;
            let ours = |owner: Option<Owner>| owner.is_none_or(|it| gauges.of(it).is_some());
            let lost = quota::drop_claims(id, &expired, event.host, ours);
            gauges.correct(&lost, event.out);
        }
    }
}

#[cfg(test)]
mod tests;
