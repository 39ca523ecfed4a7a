//! What must hold of the shared accounts: at any time no pool holds more than
//! its bound and the gauges agree with the pools; in the end nobody holds
//! anything but those who died, and that is free after a while.

use super::configs::{
    Configs, MOST_ACTIVE, MOST_BYTES, MOST_FEW, MOST_MANY, MOST_PER_USER, configs,
};
use super::stage::Stage;

/// The words of a slot: key, worker, amount.
const SLOT: usize = 3;
/// How many times the bound holds for those who found no place of their own.
const OVERFLOW: u64 = 16;

/// Amounts by what they are of.
struct Group {
    tables: &'static str,
    ending: &'static str,
    gauges: &'static str,
}

const GROUPS: [Group; 3] = [
    Group {
        tables: "btp.default.",
        ending: ".fault_active",
        gauges: ".fault_active",
    },
    Group {
        tables: "btp.default.",
        ending: ".request_buffer",
        gauges: ".request_buffer_bytes",
    },
    Group {
        tables: "btp.places.",
        ending: "",
        gauges: ".in_flight",
    },
];

/// The most that one key of a table may hold.
fn most(table: &str, key: u64) -> u64 {
    let overflow = if key == u64::MAX { OVERFLOW } else { 1 };
    match table {
        "btp.default.all.fault_active" | "btp.default.tries.fault_active" => MOST_ACTIVE,
        "btp.default.all.request_buffer" => MOST_BYTES,
        "btp.places.default/all/many" => MOST_MANY,
        "btp.places.default/all/few" | "btp.places.default/rest/few" => MOST_FEW,
        _ if table.starts_with("btp.places.") => MOST_PER_USER * overflow,
        _ => u64::MAX,
    }
}

impl Stage {
    /// Judges the accounts at any moment.
    pub(super) fn check_balance(&self) {
        let Configs { tables, gauges, .. } = configs();
        let shared = self.shared.tables.borrow();
        let levels = self.shared.gauges.borrow();
        for group in &GROUPS {
            let mut held: i64 = 0;
            for (name, words) in tables.iter().zip(shared.iter()) {
                if !(name.starts_with(group.tables) && name.ends_with(group.ending)) {
                    continue;
                }
                let slots = words.as_chunks::<SLOT>().0;
                for [key, _, _] in slots {
                    let same = slots.iter().filter(|[other, ..]| other == key);
                    let sum: u64 = same.map(|[.., amount]| amount).sum();
                    assert!(sum <= most(name, *key), "{name} holds {sum}: {slots:?}");
                }
                let amounts = slots.iter().map(|[.., amount]| *amount);
                held += amounts.sum::<u64>().cast_signed();
            }
            let of_group = gauges.iter().zip(levels.iter());
            let shown: i64 = of_group
                .filter(|(name, _)| name.ends_with(group.gauges))
                .map(|(_, level)| level)
                .sum();
            assert_eq!(shown, held, "{}: {shared:?}", group.gauges);
        }
    }

    /// Judges the accounts when no exchange is left.
    pub(super) fn check_end(&self) {
        self.check_balance();
        assert_eq!(self.earliest(), None, "somebody is woken for ever");
        for (name, words) in configs()
            .tables
            .iter()
            .zip(self.shared.tables.borrow().iter())
        {
            if name == "btp.workers" {
                continue;
            }
            for [_, worker, amount] in words.as_chunks::<SLOT>().0 {
                let serial = worker.to_le_bytes()[0];
                assert!(
                    self.dead.contains(&serial),
                    "{amount} of {name} is still held"
                );
            }
        }
        for machine in &self.machines {
            assert!(machine.ledger.is_idle(), "{:?}", machine.ledger);
            for root in machine.roots.iter().flatten() {
                assert!(root.worker.is_idle(), "{:?}", root.worker);
            }
        }
        // What the dead held of a retry budget stays held: a crash gives
        // nobody credit.
        for meter in [".retry_budget_held", ".retry_budget_min_held"] {
            let held = self.shared.metered(meter);
            assert!(held <= self.lost, "{meter}: {held}, lost {}", self.lost);
        }
    }
}
