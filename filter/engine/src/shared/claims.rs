//! A worker as one who holds things: it takes them from pools, gives signs of
//! life as long as it holds any, and looks for the dead when a pool is full.

use crate::action::Action;
use crate::event::Event;
use crate::host::Host;
use crate::host::values::TableId;
use crate::shared::gauges::Gauges;
use crate::shared::liveness::{BEAT_NS, Roll};
use crate::shared::quota::{self, Answer, Change, Claim, Lost, Pool};
use hashbrown::HashMap;

/// What a worker holds of all pools together.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) roll: Roll,
    id: Option<u64>,
    amount: u64,
    /// It is woken to give signs of life.
    beats: bool,
    next_beat: u64,
    /// Before this time there is no use in looking for the dead in a table
    /// again. Each has its own, so that one that is always full, as when a
    /// client asks for more than it may have, does not keep the dead in others.
    next_search: HashMap<TableId, u64>,
    pub(crate) gauges: Gauges,
}

/// How often the dead are looked for in a table at most: asking costs as much
/// as taking.
const SEARCH_NS: u64 = 1_000_000_000;

impl Holder {
    pub(crate) fn new(roll: Roll, gauges: Gauges) -> Self {
        Self {
            roll,
            id: None,
            amount: 0,
            beats: false,
            next_beat: 0,
            next_search: HashMap::new(),
            gauges,
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn is_idle(&self) -> bool {
        self.amount == 0
    }

    /// Takes from a pool as much as there is room for, at least and at most
    /// so much.
    #[inline(never)]
    pub(crate) fn take<H: Host>(
        &mut self,
        pool: Pool,
        key: u64,
        amount: (u64, u64),
        event: &mut Event<'_, H>,
    ) -> Change {
        let claim = self.claim(key, event.host);
        if !self.beats {
            let now = event.now_ns();
            if !self.roll.answer(event.host, claim.worker, now) {
                return Change::default();
            }
            self.beats = true;
            self.wake(now, event.out);
        }
        let mut change = pool.take(event.host, claim, amount);
        if matches!(change.answer, Answer::Full | Answer::NoRoom) {
            let now = event.now_ns();
            let next_search = self.next_search.entry(pool.table).or_default();
            if now >= *next_search {
                *next_search = now.saturating_add(SEARCH_NS);
                let dead = self.dead(pool.table, event.host, now);
                let by = self.bury(pool, &dead, event);
                change = pool.take(event.host, claim, amount);
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
        pool: Pool,
        key: u64,
        amount: u64,
        host: &mut H,
    ) -> i64 {
        self.amount = self.amount.saturating_sub(amount);
        let claim = self.claim(key, host);
        pool.give_back(host, claim, amount)
    }

    /// The time asked for by [`Action::WakeWorkerAt`] has come.
    pub(crate) fn tick<H: Host>(&mut self, event: &mut Event<'_, H>) {
        self.rest(event.host);
        if self.beats {
            let now = event.now_ns();
            let worker = self.claim(0, event.host).worker;
            let _ = self.roll.answer(event.host, worker, now);
            self.wake(now, event.out);
        }
    }

    /// When the next sign of life is due.
    pub(crate) fn next_beat(&self) -> Option<u64> {
        self.beats.then_some(self.next_beat)
    }

    /// Stops giving signs of life if nothing is held.
    pub(crate) fn rest<H: Host>(&mut self, host: &mut H) {
        if self.beats && self.amount == 0 {
            self.beats = false;
            let worker = self.claim(0, host).worker;
            self.roll.leave(host, worker);
        }
    }

    /// Those who hold something in a table and have died.
    pub(crate) fn dead<H: Host>(&self, table: TableId, host: &mut H, now: u64) -> Vec<u64> {
        // In this order: who takes something has answered before.
        let mut holders = quota::holders(table, host);
        if holders.is_empty() {
            return holders;
        }
        let alive = self.roll.call(host, now);
        holders.retain(|worker| Some(*worker) != self.id && !alive.contains(worker));
        holders
    }

    fn wake(&mut self, now: u64, out: &mut Vec<Action>) {
        self.next_beat = now.saturating_add(BEAT_NS);
        out.push(Action::WakeWorkerAt(self.next_beat));
    }

    /// Drops what the dead hold of a pool's table. Gives by how much changed
    /// what is held of the pool; the gauges of others are corrected.
    fn bury<H: Host>(&self, pool: Pool, dead: &[u64], event: &mut Event<'_, H>) -> i64 {
        if dead.is_empty() {
            return 0;
        }
        let lost = quota::bury(pool.table, pool.owner.is_some(), dead, event.host, |_| true);
        let (own, others): (Vec<Lost>, Vec<Lost>) =
            lost.into_iter().partition(|it| it.owner == pool.owner);
        self.gauges.correct(&others, event.out);
        own.iter()
            .fold(0, |by: i64, lost| by.saturating_sub(lost.signed()))
    }

    /// What tells this worker from the others, and from itself under another
    /// configuration or before its VM died, is drawn at random.
    fn claim<H: Host>(&mut self, key: u64, host: &mut H) -> Claim {
        let draw = || host.secret().unwrap_or_else(|| host.random());
        let worker = *self.id.get_or_insert_with(draw);
        Claim { key, worker }
    }
}

#[cfg(test)]
mod tests;
