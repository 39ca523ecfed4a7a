//! A worker as one who holds things: it takes them from pools, gives signs of
//! life as long as it holds any, and looks for the dead when a pool is full.

use crate::action::Action;
use crate::host::Host;
use crate::pool::{Answer, Change, Claim, Pool};
use crate::roll::{BEAT_NS, Roll};
use crate::shared::TableId;
use hashbrown::HashMap;

/// What a worker holds of all pools together.
#[derive(Debug)]
pub(crate) struct Holder {
    roll: Roll,
    id: Option<u64>,
    amount: u64,
    /// It is woken to give signs of life.
    beats: bool,
    /// Before this time there is no use in looking for the dead in a table
    /// again. Each has its own, so that one that is always full, as when a
    /// client asks for more than it may have, does not keep the dead in others.
    next_search: HashMap<TableId, u64>,
}

/// How often the dead are looked for in a table at most: asking costs as much
/// as taking.
const SEARCH_NS: u64 = 1_000_000_000;

impl Holder {
    pub(crate) fn new(roll: Roll) -> Self {
        Self {
            roll,
            id: None,
            amount: 0,
            beats: false,
            next_search: HashMap::new(),
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
        host: &mut H,
        out: &mut Vec<Action>,
    ) -> Change {
        let claim = self.claim(key, host);
        if !self.beats {
            let now = host.now_ns();
            if !self.roll.answer(host, claim.worker, now) {
                return Change::default();
            }
            self.beats = true;
            out.push(Action::WakeWorkerAt(now.saturating_add(BEAT_NS)));
        }
        let mut change = pool.take(host, claim, amount, &[]);
        if matches!(change.answer, Answer::Full | Answer::NoRoom) {
            let now = host.now_ns();
            let next_search = self.next_search.entry(pool.table).or_default();
            if now >= *next_search {
                *next_search = now.saturating_add(SEARCH_NS);
                let dead = self.dead(pool, claim.worker, host, now);
                change = pool.take(host, claim, amount, &dead);
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
    pub(crate) fn tick<H: Host>(&mut self, host: &mut H, out: &mut Vec<Action>) {
        self.beats = self.amount > 0;
        if self.beats {
            let now = host.now_ns();
            let worker = self.claim(0, host).worker;
            let _ = self.roll.answer(host, worker, now);
            out.push(Action::WakeWorkerAt(now.saturating_add(BEAT_NS)));
        }
    }

    /// Those who hold something of a pool and have died.
    fn dead<H: Host>(&self, pool: Pool, own: u64, host: &mut H, now: u64) -> Vec<u64> {
        // In this order: who takes something has answered before.
        let mut holders = pool.holders(host);
        let alive = self.roll.call(host, now);
        holders.retain(|worker| *worker != own && !alive.contains(worker));
        holders
    }

    /// What tells this worker from the others, and from itself under another
    /// configuration or before its VM died, is drawn at random.
    fn claim<H: Host>(&mut self, key: u64, host: &mut H) -> Claim {
        let worker = *self.id.get_or_insert_with(|| host.random());
        Claim { key, worker }
    }
}

#[cfg(test)]
mod tests;
