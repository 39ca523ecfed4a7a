//! What the two places of the filter know of one exchange: the downstream
//! instance, which sees the request once, and the upstream instance, which
//! sees each try.

use std::sync::Arc;

use crate::retry::outcomes::Rules;
use crate::retry::reservation::Held;

/// Names an exchange in its worker: a number of the worker's own, the place,
/// and how often the place was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId {
    pub(crate) worker: u64,
    index: u32,
    generation: u32,
}

/// One exchange whose retries are bounded.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Its budget.
    pub(crate) budget: usize,
    /// What is tried again; `None`: only the route knows.
    pub(crate) rules: Option<Arc<Rules>>,
    /// Retries that the router was told, if it was told.
    pub(crate) limit: Option<u32>,
    /// The limit is there because the budget was empty.
    pub(crate) starved: bool,
    /// Tries that the upstream instance saw, and those that are under way.
    pub(crate) tries: u32,
    pub(crate) live: u32,
    /// Credit for the next retry.
    pub(crate) held: Option<Held>,
    /// The next retry has been paid for already.
    pub(crate) paid: bool,
    /// A retry that would have been was refused.
    pub(crate) refused: bool,
    /// The response carries a header of ours.
    pub(crate) marked: bool,
    /// The final response has begun.
    pub(crate) settled: bool,
    /// Tries that wait for credit, or for the others to end.
    pub(crate) waiting: u32,
    /// Its credit is held from the start, and nobody is to see its tries.
    pub(crate) reserves: bool,
}

/// The exchanges of one worker.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Where the search for old holds goes on.
    swept: usize,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    slot: Option<Slot>,
}

const SIZE: usize = 16;

impl SlotId {
    /// As bytes, to travel with the exchange.
    pub(crate) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let parts = self.worker.to_le_bytes().into_iter();
        let parts = parts
            .chain(self.index.to_le_bytes())
            .chain(self.generation.to_le_bytes());
        for (place, byte) in bytes.iter_mut().zip(parts) {
            *place = byte;
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (worker, rest) = bytes.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        rest.is_empty().then_some(Self {
            worker: u64::from_le_bytes(*worker),
            index: u32::from_le_bytes(*index),
            generation: u32::from_le_bytes(*generation),
        })
    }
}

impl Slot {
    pub(crate) fn new(budget: usize, rules: Option<Arc<Rules>>) -> Self {
        Self {
            budget,
            rules,
            limit: None,
            starved: false,
            tries: 0,
            live: 0,
            held: None,
            paid: false,
            refused: false,
            marked: false,
            settled: false,
            waiting: 0,
            reserves: false,
        }
    }
}

impl Slots {
    #[cfg(feature = "testing")]
    pub(crate) fn is_empty(&self) -> bool {
        self.places.iter().all(|place| place.slot.is_none())
    }

    pub(crate) fn insert(&mut self, worker: u64, slot: Slot) -> Option<SlotId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.places.len()).ok()?;
                self.places.push(Place::default());
                index
            }
        };
        let place = self.places.get_mut(usize::try_from(index).ok()?)?;
        place.slot = Some(slot);
        Some(SlotId {
            worker,
            index,
            generation: place.generation,
        })
    }

    pub(crate) fn get(&mut self, id: SlotId) -> Option<&mut Slot> {
        let place = self.places.get_mut(usize::try_from(id.index).ok()?)?;
        place
            .slot
            .as_mut()
            .filter(|_| place.generation == id.generation)
    }

    pub(crate) fn remove(&mut self, id: SlotId) -> Option<Slot> {
        let place = self.places.get_mut(usize::try_from(id.index).ok()?)?;
        if place.generation != id.generation {
            return None;
        }
        let slot = place.slot.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(slot)
    }

    /// The next place in turn, if somebody is there: every place is looked
    /// at again and again, a little at a time.
    pub(crate) fn next(&mut self) -> Option<&mut Slot> {
        self.swept = if self.swept + 1 < self.places.len() {
            self.swept + 1
        } else {
            0
        };
        self.places.get_mut(self.swept)?.slot.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::{Slot, SlotId, Slots};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_place_is_used_again_under_another_name() {
        let mut slots = Slots::default();
        let first = slots.insert(7, Slot::new(0, None)).unwrap();
        assert!(slots.remove(first).is_some());
        let second = slots.insert(7, Slot::new(0, None)).unwrap();
        assert_ne!(first, second);
        assert!(slots.get(first).is_none() && slots.remove(first).is_none());
        assert!(slots.get(second).is_some());
        assert_eq!(slots.places.len(), 1);
    }

    #[test]
    fn a_name_survives_the_way() {
        let mut slots = Slots::default();
        slots.insert(0, Slot::new(0, None)).unwrap();
        let id = slots.insert(u64::MAX - 5, Slot::new(0, None)).unwrap();
        assert_eq!(SlotId::from_bytes(&id.to_bytes()), Some(id));
        assert_eq!(SlotId::from_bytes(b"short"), None);
        assert_eq!(SlotId::from_bytes(&[0; 17]), None);
    }
}
