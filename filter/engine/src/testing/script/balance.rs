//! What must hold of the shared accounts: at any time no pool holds more than
//! its bound and the gauges agree with the pools; in the end nobody holds
//! anything.

use std::sync::OnceLock;

use super::configs::{MOST_ACTIVE, MOST_BYTES, MOST_FEW, MOST_MANY, MOST_PER_USER, configs};
use super::stage::Stage;
use crate::host::shared_state::Claims;

/// How many times the bound holds for those who found no place of their own.
const OVERFLOW: u64 = 16;

/// Quotas, and the gauges that show what is held of them.
#[derive(Debug)]
struct Account {
    quotas: Vec<String>,
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
        .map(|(quota, gauge)| {
            let (quotas, gauges) = configs().accounts(quota, gauge);
            Account { quotas, gauges }
        })
    })
}

/// What the classes of a key have in common: its lowest four bits are theirs.
fn bound_of(key: u64) -> u64 {
    key >> 4
}

/// The most that may be held of one key of a quota.
fn most(quota: &str, key: u64) -> u64 {
    let overflow = if key == bound_of(u64::MAX) {
        OVERFLOW
    } else {
        1
    };
    match quota {
        "btp.default.all.fault_active" | "btp.default.tries.fault_active" => MOST_ACTIVE,
        "btp.default.all.request_buffer" => MOST_BYTES,
        "btp.places.default/all/many" => MOST_MANY,
        "btp.places.default/all/few" | "btp.places.default/rest/few" => MOST_FEW,
        _ if quota.starts_with("btp.places.") => MOST_PER_USER * overflow,
        _ => u64::MAX,
    }
}

impl Stage {
    /// Judges the accounts at any moment.
    pub(super) fn check_balance(&self) {
        let gauges = self.shared.gauges.borrow();
        for account in accounts() {
            let mut held: i64 = 0;
            for name in &account.quotas {
                let Claims(claims) = self.shared.cells.get(name);
                for (number, claim) in claims.iter().enumerate() {
                    held += claim.amount.cast_signed();
                    let key = bound_of(claim.key);
                    let rest = claims.iter().skip(number);
                    let same = rest.filter(|it| bound_of(it.key) == key);
                    let sum: u64 = same.map(|it| it.amount).sum();
                    assert!(sum <= most(name, key), "{name} holds {sum}: {claims:?}");
                }
            }
            let levels = account.gauges.iter().filter_map(|place| gauges.get(*place));
            let shown: i64 = levels.sum();
            assert_eq!(shown, held, "{account:?}");
        }
    }

    /// Judges the accounts when no exchange is left.
    pub(super) fn check_end(&self) {
        self.check_balance();
        for name in &configs().quotas {
            let claims: Claims = self.shared.cells.get(name);
            assert_eq!(claims, Claims::default(), "{name} is still held");
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
        for meter in [".retry_budget_debug_held", ".retry_budget_debug_min_held"] {
            assert_eq!(self.shared.accounts.sum_of(meter), 0, "{meter}");
        }
    }
}
