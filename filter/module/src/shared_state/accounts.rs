//! The accounts of retry budgets: atomics, so that an entry is seen by all workers
//! at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use btp_engine::{AccountId, Entry, Labels};

use super::store::lock;

/// One budget's account.
#[derive(Debug)]
struct Account {
    labels: Labels,
    /// In the order of [`Entry::ALL`].
    entries: [AtomicI64; Entry::ALL.len()],
}

/// All of the process, in the order in which they were opened. None is ever closed:
/// the ledger bounds how many a policy opens.
#[derive(Debug, Default)]
struct Accounts {
    ids: HashMap<Labels, AccountId>,
    all: Vec<Arc<Account>>,
}

static PROCESS: LazyLock<Mutex<Accounts>> = LazyLock::new(Mutex::default);

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

/// Adds to an entry, and lends the labels of its account to whoever shows that.
pub(crate) fn post(account: AccountId, entry: Entry, by: i64, show: impl FnOnce(&Labels)) {
    with(account, entry, |labels, number| {
        number.fetch_add(by, Ordering::SeqCst);
        show(labels);
    });
}

/// Makes an entry this number, and lends its labels in the same way.
pub(crate) fn set(account: AccountId, entry: Entry, to: u64, show: impl FnOnce(&Labels)) {
    with(account, entry, |labels, number| {
        number.store(i64::try_from(to).unwrap_or(i64::MAX), Ordering::SeqCst);
        show(labels);
    });
}

/// What an entry has come to.
pub(crate) fn total(account: AccountId, entry: Entry) -> u64 {
    let total = with(account, entry, |_, number| number.load(Ordering::SeqCst));
    // Less than nothing is held for as long as two workers are at it.
    u64::try_from(total.unwrap_or(0)).unwrap_or(0)
}

/// Shows the entries of all accounts.
pub(crate) fn for_each_account(mut show: impl FnMut(&Labels, Entry)) {
    let all = lock(&PROCESS).all.clone();
    for account in &all {
        for entry in Entry::ALL {
            show(&account.labels, entry);
        }
    }
}

fn with<R>(
    account: AccountId,
    entry: Entry,
    act: impl FnOnce(&Labels, &AtomicI64) -> R,
) -> Option<R> {
    let index = usize::try_from(account.0).ok()?;
    let place = Entry::ALL.iter().position(|it| *it == entry)?;
    SEEN.with_borrow_mut(|seen| {
        if seen.len() <= index {
            seen.clone_from(&lock(&PROCESS).all);
        }
        let Account { labels, entries } = &**seen.get(index)?;
        Some(act(labels, entries.get(place)?))
    })
}
