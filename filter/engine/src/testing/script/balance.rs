//! What must hold of the shared accounts: at any time no pool holds more than
//! its bound and the gauges agree with the pools; in the end nobody holds
//! anything.

use std::sync::OnceLock;

use super::configs::{MOST_ACTIVE, MOST_BYTES, MOST_FEW, MOST_MANY, MOST_PER_USER, configs};
use super::stage::Stage;

/// The words of a slot: key, worker, amount.
const SLOT: usize = 3;
/// The part of a slot's last word that is the amount: where rules share a table
/// the rest says whose it is.
const AMOUNT: u64 = u32::MAX as u64;
/// How many times the bound holds for those who found no place of their own.
const OVERFLOW: u64 = 16;

/// Tables, and the gauges that show what is in them.
#[derive(Debug)]
struct Account {
    tables: Vec<usize>,
    gauges: Vec<usize>,
}

fn accounts() -> &'static [Account; 3] {
    static ACCOUNTS: OnceLock<[Account; 3]> = OnceLock::new();
    ACCOUNTS.get_or_init(|| {
        [
            (("btp.default.", ".fault_active"), ".fault_active"),
            (("btp.default.", ".request_buffer"), ".request_buffer_bytes"),
            (("btp.places.", ""), ".in_flight"),
        ]
        .map(|(table, gauge)| {
            let (tables, gauges) = configs().accounts(table, gauge);
            Account { tables, gauges }
        })
    })
}

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
        let tables = self.shared.tables.borrow();
        let gauges = self.shared.gauges.borrow();
        for account in accounts() {
            let mut held: i64 = 0;
            for place in &account.tables {
                let words = tables.get(*place).map_or(&[][..], Vec::as_slice);
                let slots = words.as_chunks::<SLOT>().0;
                for (number, [key, _, amount]) in slots.iter().enumerate() {
                    held += (amount & AMOUNT).cast_signed();
                    let same = slots.iter().skip(number).filter(|[other, ..]| other == key);
                    let sum: u64 = same.map(|[.., amount]| amount & AMOUNT).sum();
                    let name = configs().tables.get(*place).map_or("", String::as_str);
                    assert!(sum <= most(name, *key), "{name} holds {sum}: {slots:?}");
                }
            }
            let levels = account.gauges.iter().filter_map(|place| gauges.get(*place));
            let shown: i64 = levels.sum();
            assert_eq!(shown, held, "{account:?} of {tables:?}");
        }
    }

    /// Judges the accounts when no exchange is left.
    pub(super) fn check_end(&self) {
        self.check_balance();
        for (name, words) in (configs().tables.iter()).zip(self.shared.tables.borrow().iter()) {
            let is_roll = name == "btp.workers";
            assert!(
                is_roll || words.is_empty(),
                "{name}: {words:?} is still held"
            );
        }
        for (name, level) in (configs().gauges.iter()).zip(self.shared.gauges.borrow().iter()) {
            assert_eq!(*level, 0, "{name}");
        }
        for machine in &self.machines {
            assert_eq!(machine.quota.used(), 0, "values or bodies are still kept");
            assert!(machine.ledger.is_idle(), "{:?}", machine.ledger);
            for root in machine.roots.iter().flatten() {
                assert!(root.worker.is_idle(), "{:?}", root.worker);
            }
        }
        for meter in [".retry_budget_held", ".retry_budget_min_held"] {
            assert_eq!(self.shared.metered(meter), 0, "{meter}");
        }
    }
}
