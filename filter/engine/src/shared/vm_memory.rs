//! Which VMs live, and how much memory each has.
//!
//! Statistics belong to the whole process, so VMs need numbers to have a gauge each. A
//! number is an index in a shared table. A VM sends a heartbeat every
//! [`HEARTBEAT_NS`](crate::HEARTBEAT_NS). A VM that is silent for three times as long has
//! died, and its number is free. A VM that takes the number of a dead one also takes its
//! gauge, so no gauge of a dead VM remains.
//!
//! Exactly one VM learns of each death: the one that frees the number. It also takes over
//! the dead VM's credit ([`crate::recover`]).

use crate::host::shared_state::journal::WorkerId;
use crate::shared::liveness::EXPIRY_NS;

/// A VM's report of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmMemory {
    /// A random number that tells it from the others; not 0.
    pub id: u64,
    /// The memory that it has.
    pub bytes: u64,
}

/// The VMs, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmTable(pub Vec<VmEntry>);

/// One VM of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmEntry {
    /// The VM; 0: the number is free.
    pub id: u64,
    /// Its last sign of life.
    pub heartbeat_ns: u64,
    /// Its memory.
    pub bytes: u64,
}

/// What a report tells of the other VMs.
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

impl VmTable {
    /// A sign of life of `own` at `now`, of the clock that all workers share.
    pub fn beat(&mut self, own: VmMemory, now: u64) -> VmSighting {
        let mut sighting = self.free_dead(now, own.id);
        let Self(vms) = self;
        let place = |wanted: u64| vms.iter().position(|vm| vm.id == wanted);
        let place = place(own.id).or_else(|| place(0)).unwrap_or(vms.len());
        if place < MOST {
            sighting.number = u32::try_from(place).ok();
            let own = VmEntry {
                id: own.id,
                heartbeat_ns: now,
                bytes: own.bytes,
            };
            match vms.get_mut(place) {
                Some(vm) => *vm = own,
                None => vms.push(own),
            }
        }
        sighting.largest = self.largest().max(own.bytes);
        sighting
    }

    /// Those who have died and still have numbers; not the VM `own`, which looks.
    #[must_use]
    pub fn dead(mut self, now: u64, own: u64) -> Vec<WorkerId> {
        self.free_dead(now, own).dead
    }

    /// Reads the table without a heartbeat, for a VM that serves no client.
    /// `None` if nobody has died.
    pub fn look(&mut self, now: u64) -> Option<VmSighting> {
        let mut sighting = self.free_dead(now, 0);
        sighting.largest = self.largest();
        (!sighting.dead.is_empty()).then_some(sighting)
    }

    /// Frees the numbers of the dead. One who looks is alive.
    fn free_dead(&mut self, now: u64, looks: u64) -> VmSighting {
        let mut sighting = VmSighting::default();
        for (number, vm) in (0..).zip(&mut self.0) {
            let VmEntry {
                id, heartbeat_ns, ..
            } = *vm;
            if id != 0 && id != looks && now.saturating_sub(heartbeat_ns) >= EXPIRY_NS {
                *vm = VmEntry::default();
                sighting.dead.push(WorkerId { number, id });
            }
        }
        sighting
    }

    fn largest(&self) -> u64 {
        self.0.iter().map(|vm| vm.bytes).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, VmEntry, VmMemory, VmSighting, VmTable};
    use crate::host::shared_state::journal::WorkerId;
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
        let mut vms = VmTable::default();
        let vm = |id, bytes| VmMemory { id, bytes };
        let mut beat = |vm: VmMemory, seconds: u64| vms.beat(vm, seconds * SECOND);
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
        let mut vms = VmTable::default();
        assert_eq!(vms.look(SECOND), None);
        for id in [7, 8] {
            vms.beat(VmMemory { id, bytes: id }, id * SECOND);
        }
        assert_eq!(vms.look(18 * SECOND), None);
        let sighting = VmSighting {
            number: None,
            ..seen(0, &[(0, 7)], 8)
        };
        assert_eq!(vms.clone().dead(19 * SECOND, 0), sighting.dead);
        assert_eq!(vms.clone().dead(19 * SECOND, 7), []);
        assert_eq!(vms.look(19 * SECOND), Some(sighting));
        assert_eq!(vms.clone().dead(19 * SECOND, 0), []);
        assert_eq!(vms.look(19 * SECOND), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let alive = VmEntry {
            id: 1,
            heartbeat_ns: SECOND,
            bytes: 1,
        };
        let mut vms = VmTable(vec![alive; MOST]);
        let sighting = vms.beat(VmMemory { id: 9, bytes: 7 }, SECOND);
        assert_eq!(sighting.number, None);
        assert_eq!(vms.0.len(), MOST);
    }

    proptest! {
        #[test]
        fn no_two_that_live_have_one_number(beats in proptest::collection::vec((1_u64..6, 0_u64..9), 1..60)) {
            let (mut vms, mut now) = (VmTable::default(), 0);
            let mut last: Vec<(u64, u64, u32)> = Vec::new();
            for (id, seconds) in beats {
                now += seconds * SECOND;
                let sighting = vms.beat(VmMemory { id, bytes: id }, now);
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
