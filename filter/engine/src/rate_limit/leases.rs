//! Tokens that a worker has fetched ahead, and refusals that it remembers.
//!
//! Reading shared state costs a microsecond. So a worker fetches several tokens of a large
//! limit at a time (a lease), and does not ask again before there can be any.
//!
//! The plan sets the size of the table. A lease gives its tokens back when another one
//! needs its slot.

use super::buckets::Key;
use super::gcra::Fixed;

/// A worker's knowledge of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The bucket's limit: an index into the plan's.
    pub(crate) limit: usize,
    pub(crate) key: Key,
    /// Its tokens came from the overflow bucket.
    pub(crate) overflowed: bool,
    /// Tokens that are left.
    pub(crate) left: u64,
    /// Requests are refused until this time: there cannot be more tokens before.
    pub(crate) deny_until: u64,
    /// When the shared bucket is full again, as it was last seen.
    pub(crate) full_at: Fixed,
}

/// A worker's leases.
#[derive(Debug)]
pub(crate) struct Leases {
    /// Empty until the first is kept.
    table: Vec<Lease>,
    /// So many are kept at most.
    slots: usize,
}

/// Buckets that a worker remembers at least: 64 KiB.
const LEAST_SLOTS: usize = 1 << 10;
/// And at most: 4 MiB, a small part of what a plan with as many limits takes.
const MOST_SLOTS: usize = 1 << 16;

impl Leases {
    /// Room for the buckets of so many limits. Twice as much, as two that share a slot
    /// drive each other out.
    pub(crate) fn for_limits(limits: usize) -> Self {
        let slots = limits.saturating_mul(2).clamp(LEAST_SLOTS, MOST_SLOTS);
        Self {
            table: Vec::new(),
            slots: slots.next_power_of_two(),
        }
    }

    /// What is known of the bucket `key`.
    pub(crate) fn get(&self, limit: usize, key: Key) -> Lease {
        let known = self.table.get(self.slot_of(key)).filter(|it| it.key == key);
        known.copied().unwrap_or(Lease {
            limit,
            key,
            ..Lease::default()
        })
    }

    /// Forgets everything; gives the leases that have tokens left.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Lease> + use<> {
        let table = std::mem::take(&mut self.table);
        table.into_iter().filter(|lease| lease.left > 0)
    }

    /// Remembers a lease, if there is anything to remember at this time.
    /// Gives the one that had to go for it, if it has tokens left.
    pub(crate) fn put(&mut self, lease: Lease, now_ns: u64) -> Option<Lease> {
        let empty = lease.left == 0 && lease.deny_until <= now_ns;
        if self.table.is_empty() {
            if empty {
                return None;
            }
            self.table = vec![Lease::default(); self.slots];
        }
        let slot = self.slot_of(lease.key);
        let old = self.table.get_mut(slot)?;
        if empty && old.key != lease.key {
            return None;
        }
        let evicted = std::mem::replace(old, lease);
        (evicted.key != lease.key && evicted.left > 0).then_some(evicted)
    }

    fn slot_of(&self, key: Key) -> usize {
        // Slots are a power of two.
        let mask = self.slots.wrapping_sub(1);
        usize::try_from(key.get() & mask as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn lease(key: u64, left: u64, deny_until: u64) -> Lease {
        Lease {
            key: Key::new(key),
            left,
            deny_until,
            ..Lease::default()
        }
    }

    #[test]
    fn a_worker_remembers_the_buckets_of_all_limits_within_4_mib() {
        const { assert!(size_of::<Lease>() <= 64) };
        let slots = |limits| {
            let mut leases = Leases::for_limits(limits);
            assert_eq!(leases.put(lease(5, 1, 0), 0), None);
            leases.table.len()
        };
        assert_eq!((slots(0), slots(512), slots(513)), (1024, 1024, 2048));
        assert_eq!((slots(10_000), slots(usize::MAX)), (32_768, 65_536));
    }

    #[test]
    fn nothing_to_remember_takes_no_memory() {
        let mut leases = Leases::for_limits(1);
        assert_eq!(leases.put(lease(5, 0, 10), 10), None);
        assert_eq!(leases.table.capacity(), 0);
    }

    #[test]
    fn who_makes_room_hands_back_what_is_left() {
        let mut leases = Leases::for_limits(1);
        let (one, other) = (lease(5, 3, 0), lease(5 + 1024, 1, 0));
        assert_eq!(leases.put(one, 1), None);
        assert_eq!(leases.get(0, one.key).left, 3);
        // With nothing to remember, nothing is evicted.
        assert_eq!(leases.put(lease(5 + 1024, 0, 0), 1), None);
        assert_eq!(leases.put(other, 1), Some(one));
        assert_eq!(leases.get(0, one.key).left, 0);
        // One that had nothing left has nothing to give back.
        assert_eq!(leases.put(lease(5 + 1024, 0, 9), 1), None);
        assert_eq!(leases.put(one, 1), None);
    }
}
