//! The accounts of retry budgets: each entry is a number, seen by all workers at once,
//! and shown as it is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use btp_engine::{AccountId, Entry, Labels};

use super::store::lock;
use crate::number::Number;

/// One budget's account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) labels: Labels,
    /// In the order of [`Entry::ALL`].
    entries: [Number; Entry::ALL.len()],
}

/// All of the process, in the order in which they were opened. None is ever closed:
/// the ledger bounds how many a policy opens.
#[derive(Debug, Default)]
struct Process {
    ids: HashMap<Labels, AccountId>,
    all: Vec<Arc<Account>>,
}

static PROCESS: LazyLock<Mutex<Process>> = LazyLock::new(Mutex::default);

thread_local! {
    /// The accounts that this thread has seen, to find them without a lock.
    static SEEN: RefCell<Vec<Arc<Account>>> = const { RefCell::new(Vec::new()) };
}

/// The account of the budget with these labels, opened if need be.
pub(crate) fn account(budget: &Labels) -> Option<AccountId> {
    let mut accounts = lock(&PROCESS);
    #[cfg(feature = "planted-panics")]
    super::locked("Accounts");
    if let Some(id) = accounts.ids.get(budget) {
        return Some(*id);
    }
    let id = AccountId(u32::try_from(accounts.all.len()).ok()?);
    accounts.all.push(Arc::new(Account {
        labels: budget.clone(),
        entries: Default::default(),
    }));
    accounts.ids.insert(budget.clone(), id);
    Some(id)
}

/// Adds to an entry.
pub(crate) fn post(account: AccountId, entry: Entry, by: i64) {
    with(account, entry, |number| number.add(by));
}

/// Makes an entry this number.
pub(crate) fn set(account: AccountId, entry: Entry, to: u64) {
    with(account, entry, |number| {
        number.set(i64::try_from(to).unwrap_or(i64::MAX))
    });
}

/// What an entry has come to.
pub(crate) fn total(account: AccountId, entry: Entry) -> u64 {
    let total = with(account, entry, Number::total);
    // Less than nothing is held for as long as two workers are at it.
    u64::try_from(total.unwrap_or(0)).unwrap_or(0)
}

/// All accounts, in the order in which they were opened.
pub(crate) fn accounts() -> Vec<Arc<Account>> {
    lock(&PROCESS).all.clone()
}

impl Account {
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Entry, &Number)> {
        Entry::ALL.into_iter().zip(&self.entries)
    }
}

fn with<R>(account: AccountId, entry: Entry, act: impl FnOnce(&Number) -> R) -> Option<R> {
    let index = usize::try_from(account.0).ok()?;
    let place = Entry::ALL.iter().position(|it| *it == entry)?;
    SEEN.with_borrow_mut(|seen| {
        if seen.len() <= index {
            seen.clone_from(&lock(&PROCESS).all);
        }
        let account = seen.get(index)?;
        Some(act(account.entries.get(place)?))
    })
}
