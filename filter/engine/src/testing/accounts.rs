//! Accounts of atomics, for as many threads as a test likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::host::metrics::Labels;
use crate::host::shared_state::accounts::{AccountId, Accounts, Entry};

/// The accounts of a proxy; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SharedAccounts {
    opened: Arc<Mutex<Vec<Opened>>>,
}

#[derive(Clone, Debug)]
struct Opened {
    budget: Labels,
    /// In the order of [`Entry::ALL`].
    entries: Vec<Arc<AtomicU64>>,
}

impl SharedAccounts {
    /// The entry that is shown under this name; 0 if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.sum(|known| known == name)
    }

    /// The sum of all entries that are shown under a name with this end.
    #[must_use]
    pub fn sum_of(&self, ending: &str) -> u64 {
        self.sum(|known| known.ends_with(ending))
    }

    /// Sets a counter to zero, as an administrator can.
    pub fn reset(&self, name: &str) {
        for (known, number) in self.named() {
            if known == name {
                number.store(0, Ordering::SeqCst);
            }
        }
    }

    fn sum(&self, is_wanted: impl Fn(&str) -> bool) -> u64 {
        let named = self.named().into_iter();
        let wanted = named.filter(|(name, _)| is_wanted(name));
        wanted
            .map(|(_, number)| number.load(Ordering::SeqCst))
            .sum()
    }

    fn named(&self) -> Vec<(String, Arc<AtomicU64>)> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = opened.iter().flat_map(|account| {
            let entries = Entry::ALL.into_iter().zip(&account.entries);
            entries.map(|(entry, number)| {
                let name = account.budget.dotted(entry.family().name);
                (name, Arc::clone(number))
            })
        });
        entries.collect()
    }

    fn number(&self, account: AccountId, entry: Entry) -> Option<Arc<AtomicU64>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let account = opened.get(usize::try_from(account.0).ok()?)?;
        let place = Entry::ALL.iter().position(|it| *it == entry)?;
        account.entries.get(place).cloned()
    }
}

impl Accounts for SharedAccounts {
    fn account(&self, budget: &Labels) -> Option<AccountId> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let found = opened.iter().position(|known| known.budget == *budget);
        let index = found.unwrap_or_else(|| {
            opened.push(Opened {
                budget: budget.clone(),
                entries: Entry::ALL.map(|_| Arc::default()).into(),
            });
            opened.len() - 1
        });
        u32::try_from(index).ok().map(AccountId)
    }

    fn post(&self, account: AccountId, entry: Entry, by: i64) {
        if let Some(number) = self.number(account, entry) {
            let change = |level: u64| level.checked_add_signed(by);
            let changed = number.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change);
            assert!(
                changed.is_ok(),
                "{entry:?} falls below zero: {changed:?} {by}"
            );
        }
    }

    fn set(&self, account: AccountId, entry: Entry, to: u64) {
        if let Some(number) = self.number(account, entry) {
            number.store(to, Ordering::SeqCst);
        }
    }

    fn total(&self, account: AccountId, entry: Entry) -> u64 {
        let number = self.number(account, entry);
        number.map_or(0, |number| number.load(Ordering::SeqCst))
    }
}
