//! A slab: the exchanges of one worker, each under an id that is never used
//! again. The two instances of the filter name an exchange by it.

use super::TrackedExchange;

/// Names an exchange: a number of its worker's own, the entry, and how often the
/// entry was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeId {
    pub(crate) worker: u64,
    index: u32,
    generation: u32,
}

/// The exchanges of one worker.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    entries: Vec<SlabEntry>,
    free: Vec<u32>,
    /// Where the search for old reservations goes on.
    swept: usize,
}

#[derive(Debug, Default)]
struct SlabEntry {
    generation: u32,
    exchange: Option<TrackedExchange>,
}

const SIZE: usize = 16;

impl ExchangeId {
    /// As bytes, to travel with the exchange.
    pub(crate) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let parts = self.worker.to_le_bytes().into_iter();
        let parts = parts
            .chain(self.index.to_le_bytes())
            .chain(self.generation.to_le_bytes());
        for (entry, byte) in bytes.iter_mut().zip(parts) {
            *entry = byte;
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

impl Slab {
    #[cfg(feature = "testing")]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.exchange.is_none())
    }

    pub(crate) fn insert(&mut self, worker: u64, exchange: TrackedExchange) -> Option<ExchangeId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.entries.len()).ok()?;
                self.entries.push(SlabEntry::default());
                index
            }
        };
        let entry = self.entries.get_mut(usize::try_from(index).ok()?)?;
        entry.exchange = Some(exchange);
        Some(ExchangeId {
            worker,
            index,
            generation: entry.generation,
        })
    }

    pub(crate) fn get(&mut self, id: ExchangeId) -> Option<&mut TrackedExchange> {
        let entry = self.entries.get_mut(usize::try_from(id.index).ok()?)?;
        entry
            .exchange
            .as_mut()
            .filter(|_| entry.generation == id.generation)
    }

    pub(crate) fn remove(&mut self, id: ExchangeId) -> Option<TrackedExchange> {
        let entry = self.entries.get_mut(usize::try_from(id.index).ok()?)?;
        if entry.generation != id.generation {
            return None;
        }
        let exchange = entry.exchange.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(exchange)
    }

    /// The next entry in turn, if it is taken: every entry is looked at again and
    /// again, a little at a time.
    pub(crate) fn next(&mut self) -> Option<&mut TrackedExchange> {
        self.swept = if self.swept + 1 < self.entries.len() {
            self.swept + 1
        } else {
            0
        };
        self.entries.get_mut(self.swept)?.exchange.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::{ExchangeId, Slab, TrackedExchange};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_place_is_used_again_under_another_name() {
        let mut slab = Slab::default();
        let first = slab.insert(7, TrackedExchange::new(0, None)).unwrap();
        assert!(slab.remove(first).is_some());
        let second = slab.insert(7, TrackedExchange::new(0, None)).unwrap();
        assert_ne!(first, second);
        assert!(slab.get(first).is_none() && slab.remove(first).is_none());
        assert!(slab.get(second).is_some());
        assert_eq!(slab.entries.len(), 1);
    }

    #[test]
    fn a_name_survives_the_way() {
        let mut slab = Slab::default();
        slab.insert(0, TrackedExchange::new(0, None)).unwrap();
        let id = slab
            .insert(u64::MAX - 5, TrackedExchange::new(0, None))
            .unwrap();
        assert_eq!(ExchangeId::from_bytes(&id.to_bytes()), Some(id));
        assert_eq!(ExchangeId::from_bytes(b"short"), None);
        assert_eq!(ExchangeId::from_bytes(&[0; 17]), None);
    }
}
