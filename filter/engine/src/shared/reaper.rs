//! Looks after what the dead have left, whether or not anybody needs it.
//!
//! Whoever holds something gives signs of life ([`crate::shared::liveness`]). Every plan
//! of every worker looks at the roll, 8 to 12 s apart: at the very moment at
//! which the one who has been silent longest would be dead. It then takes what
//! the dead held out of the plan's tables and out of the gauges that count it.
//! The proxy's main thread has a worker of its own, which serves no client and
//! lives as long as the process, so that somebody always looks.
//!
//! A new plan also looks at all its tables once, as what stands in them may be
//! older than anybody's memory.

use crate::action::Action;
use crate::event::Event;
use crate::host::Host;
use crate::host::metrics::GaugeId;
use crate::host::values::TableId;
use crate::shared::claims::Holder;
use crate::shared::liveness::SILENCE_NS;
use crate::shared::quota::{self, Owner};

/// Tables in which workers hold what a plan counts, and what counts it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    /// A table of one pool.
    Alone(TableId, GaugeId),
    /// So many tables that several pools share: who holds what says the slot.
    Together { first: TableId, count: u32 },
}

/// A worker's watch.
#[derive(Debug, Default)]
pub(crate) struct Watch {
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

impl Kept {
    fn count(self) -> u32 {
        match self {
            Self::Alone(..) => 1,
            Self::Together { count, .. } => count,
        }
    }

    fn table(self, index: u32) -> TableId {
        match self {
            Self::Alone(table, _) => table,
            Self::Together { first, .. } => TableId(first.0.saturating_add(index)),
        }
    }
}

impl Watch {
    /// Begins to look after the tables of a plan.
    pub(crate) fn start<H: Host>(&mut self, kept: &[Kept], event: &mut Event<'_, H>) {
        if kept.is_empty() {
            return;
        }
        // Who was alive before has answered by then.
        let next = event.now_ns().saturating_add(SILENCE_NS);
        (self.next, self.round) = (Some(next), Some(0));
        self.found_until = next;
        event.out.push(Action::WakeWorkerAt(next));
    }

    /// Looks, if it is time to.
    pub(crate) fn tick<H: Host>(
        &mut self,
        kept: &[Kept],
        holder: &Holder,
        event: &mut Event<'_, H>,
    ) {
        let Some(due) = self.next else {
            return;
        };
        let now = event.now_ns();
        if now < due {
            event.out.push(Action::WakeWorkerAt(due));
            return;
        }
        if let Some(done) = self.round {
            self.round = look_through(kept, done, holder, event);
        }
        let mut next = now.saturating_add(PAUSE_NS);
        if self.round.is_none() {
            let look = holder.roll.look(event.host, now);
            // Some may have died while the tables were gone through.
            if look.last_death.is_some_and(|at| at > self.found_until) {
                self.round = Some(0);
                self.found_until = now;
            } else {
                next = look.next;
            }
        }
        self.next = Some(next);
        event.out.push(Action::WakeWorkerAt(next));
    }
}

/// Goes through some more tables; gives how many have been looked at, `None`
/// if that was all.
fn look_through<H: Host>(
    kept: &[Kept],
    done: u32,
    holder: &Holder,
    event: &mut Event<'_, H>,
) -> Option<u32> {
    let end = done.saturating_add(AT_ONCE);
    let now = event.now_ns();
    let alive = holder.roll.call(event.host, now);
    let mut before = 0_u32;
    for kept in kept {
        let count = kept.count();
        let from = done.saturating_sub(before).min(count);
        let to = end.saturating_sub(before).min(count);
        for index in from..to {
            let table = kept.table(index);
            let holders = quota::holders(table, event.host);
            if holders.iter().any(|worker| !alive.contains(worker)) {
                clear(*kept, table, holder, event);
            }
        }
        before = before.saturating_add(count);
    }
    (end < before).then_some(end)
}

fn clear<H: Host>(kept: Kept, table: TableId, holder: &Holder, event: &mut Event<'_, H>) {
    let now = event.now_ns();
    let dead = holder.dead(table, event.host, now);
    match kept {
        Kept::Alone(_, gauge) => {
            for lost in quota::bury(table, false, &dead, event.host, |_| true) {
                event.adjust(gauge, -lost.signed());
            }
        }
        // What another plan counts is for that plan to correct.
        Kept::Together { .. } => {
            let gauges = &holder.gauges;
            let ours = |owner: Option<Owner>| owner.is_none_or(|it| gauges.of(it).is_some());
            let lost = quota::bury(table, true, &dead, event.host, ours);
            gauges.correct(&lost, event.out);
        }
    }
}

#[cfg(test)]
mod tests;
