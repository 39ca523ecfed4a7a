//! Which VMs live, and how much memory each has.
//!
//! Statistics belong to the whole process, so that VMs need numbers to have a
//! gauge each. They are places in a shared table. Whoever has one says every
//! [`HEARTBEAT_NS`](crate::HEARTBEAT_NS) that it lives; who is silent for three times as long
//! has died, and its number is free. A VM in the place of a dead one thus
//! leaves no gauge behind that tells of a VM that is gone.
//!
//! Exactly one VM learns of each death: the one that frees the number. It also
//! takes over what the dead one has left ([`crate::recover`]).

use crate::host::journal::WorkerId;
use crate::shared::liveness::EXPIRY_NS;

/// What a VM says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmMemory {
    /// A random number that tells it from the others; not 0.
    pub id: u64,
    /// The memory that it has.
    pub bytes: u64,
}

/// What a VM learns of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmSighting {
    /// Its own number; `None` if there are too many, or if it only looked.
    pub number: Option<u32>,
    /// Those whose numbers are free now, and were not before. The VM itself may
    /// have taken one of the numbers.
    pub dead: Vec<WorkerId>,
    /// The memory of the largest that lives.
    pub largest: u64,
}

/// The most VMs that have numbers.
const MOST: usize = 1024;

/// Words of an entry: the VM, when it gave its last sign of life, its memory.
const WORDS: usize = 3;

type Entry = [u64; WORDS];

const FREE: Entry = [0; WORDS];

impl VmMemory {
    /// A sign of life at `now`, of the clock that all workers share, in the
    /// words of the shared table. Whatever follows its last whole entry is
    /// left out.
    pub fn beat(self, words: &mut Vec<u64>, now: u64) -> VmSighting {
        let (mut entries, mut sighting) = sight(words, now, self.id);
        let place = |wanted: u64| entries.iter().position(|[id, ..]| *id == wanted);
        let place = place(self.id).or_else(|| place(0)).unwrap_or(entries.len());
        if place < MOST {
            sighting.number = u32::try_from(place).ok();
            let own = [self.id, now, self.bytes];
            match entries.get_mut(place) {
                Some(entry) => *entry = own,
                None => entries.push(own),
            }
        }
        sighting.largest = largest(&entries).max(self.bytes);
        *words = entries.as_flattened().to_vec();
        sighting
    }

    /// Those who have died and still have numbers; not the VM `own`, which looks.
    #[must_use]
    pub fn dead(words: &[u64], now: u64, own: u64) -> Vec<WorkerId> {
        sight(words, now, own).1.dead
    }

    /// Looks at the table without a sign of life, as a VM that serves nobody.
    /// `None` if nobody has died.
    pub fn look(words: &mut Vec<u64>, now: u64) -> Option<VmSighting> {
        let (entries, mut sighting) = sight(words, now, 0);
        sighting.largest = largest(&entries);
        *words = entries.as_flattened().to_vec();
        (!sighting.dead.is_empty()).then_some(sighting)
    }
}

/// Reads the table and frees the numbers of the dead. One who looks is alive.
fn sight(words: &[u64], now: u64, looks: u64) -> (Vec<Entry>, VmSighting) {
    let mut entries: Vec<Entry> = words.as_chunks().0.to_vec();
    let mut sighting = VmSighting::default();
    for (number, entry) in (0..).zip(&mut entries) {
        let [id, at, _] = *entry;
        if id != 0 && id != looks && now.saturating_sub(at) >= EXPIRY_NS {
            *entry = FREE;
            sighting.dead.push(WorkerId { number, id });
        }
    }
    (entries, sighting)
}

fn largest(entries: &[Entry]) -> u64 {
    entries.iter().map(|[.., bytes]| *bytes).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{MOST, VmMemory, VmSighting};
    use crate::host::journal::WorkerId;
    use crate::shared::liveness::EXPIRY_NS;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECOND: u64 = 1_000_000_000;

    fn seen(number: u32, dead: &[(u32, u64)], largest: u64) -> VmSighting {
        let dead = dead.iter().map(|(number, id)| WorkerId {
            number: *number,
            id: *id,
        });
        VmSighting {
            number: Some(number),
            dead: dead.collect(),
            largest,
        }
    }

    #[test]
    fn each_vm_has_a_number_and_the_dead_lose_theirs() {
        let mut words = Vec::new();
        let vm = |id, bytes| VmMemory { id, bytes };
        let mut beat = |vm: VmMemory, seconds: u64| vm.beat(&mut words, seconds * SECOND);
        assert_eq!(beat(vm(7, 10), 1), seen(0, &[], 10));
        assert_eq!(beat(vm(8, 20), 1), seen(1, &[], 20));
        assert_eq!(beat(vm(7, 30), 5), seen(0, &[], 30));
        assert_eq!(beat(vm(7, 30), 12), seen(0, &[], 30));
        // 8 has died, and its memory is no one's.
        assert_eq!(beat(vm(7, 15), 13), seen(0, &[(1, 8)], 15));
        assert_eq!(beat(vm(9, 5), 14), seen(1, &[], 15));
        // Both have been silent; who comes next takes the lowest number.
        assert_eq!(beat(vm(10, 1), 40), seen(0, &[(0, 7), (1, 9)], 1));
        assert_eq!(beat(vm(9, 5), 41), seen(1, &[], 5));
    }

    #[test]
    fn who_only_looks_learns_of_the_dead_once_and_takes_no_number() {
        let mut words = Vec::new();
        assert_eq!(VmMemory::look(&mut words, SECOND), None);
        for id in [7, 8] {
            VmMemory { id, bytes: id }.beat(&mut words, id * SECOND);
        }
        assert_eq!(VmMemory::look(&mut words, 18 * SECOND), None);
        let sighting = VmSighting {
            number: None,
            ..seen(0, &[(0, 7)], 8)
        };
        assert_eq!(VmMemory::dead(&words, 19 * SECOND, 0), sighting.dead);
        assert_eq!(VmMemory::dead(&words, 19 * SECOND, 7), []);
        assert_eq!(VmMemory::look(&mut words, 19 * SECOND), Some(sighting));
        assert_eq!(VmMemory::dead(&words, 19 * SECOND, 0), []);
        assert_eq!(VmMemory::look(&mut words, 19 * SECOND), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut words = vec![1; (MOST * 3 + 2).next_multiple_of(3)];
        words.truncate(MOST * 3 + 2);
        let sighting = VmMemory { id: 9, bytes: 7 }.beat(&mut words, SECOND);
        assert_eq!(sighting.number, None);
        assert_eq!(words.len(), MOST * 3);
    }

    proptest! {
        #[test]
        fn no_two_that_live_have_one_number(beats in proptest::collection::vec((1_u64..6, 0_u64..9), 1..60)) {
            let (mut words, mut now) = (Vec::new(), 0);
            let mut last: Vec<(u64, u64, u32)> = Vec::new();
            for (id, seconds) in beats {
                now += seconds * SECOND;
                let sighting = VmMemory { id, bytes: id }.beat(&mut words, now);
                let number = sighting.number.unwrap();
                last.retain(|(other, beat, _)| *other != id && now - beat < EXPIRY_NS);
                prop_assert!(last.iter().all(|(_, _, other)| *other != number));
                prop_assert!(last.iter().all(|(other, ..)| sighting.dead.iter().all(|dead| dead.id != *other)));
                last.push((id, now, number));
                prop_assert_eq!(sighting.largest, last.iter().map(|(id, ..)| *id).max().unwrap());
            }
        }
    }
}
