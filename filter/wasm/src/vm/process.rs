//! State that belongs to no configuration: accounts of retry budgets, and the journals of
//! the credit that workers hold.

use std::cell::RefCell;

use btp_engine::{
    AccountId, Accounts, CellNames, Cells, Contended, Entry, Journals, Labels, MetricKind, Page,
    PageId, Update, WorkerId,
};

use crate::abi::report;
use crate::{abi, shared_data, vm};

/// This process, as any of its workers sees it.
pub(crate) struct Process;

/// Envoy's numbers of an account's metrics, in the order of the entries.
type Opened = [u32; Entry::ALL.len()];

thread_local! {
    /// The accounts that this VM has opened.
    static ACCOUNTS: RefCell<Vec<Opened>> = const { RefCell::new(Vec::new()) };
}

/// Accounts of budgets are kept in Envoy's metrics, which show them: to add to
/// one that all workers share is one cheap hostcall, and nobody has to try again.
impl Accounts for Process {
    fn account(&self, budget: &Labels) -> Option<AccountId> {
        let mut opened = Opened::default();
        for (metric, entry) in opened.iter_mut().zip(Entry::ALL) {
            *metric = define(budget, entry)?;
        }
        ACCOUNTS.with_borrow_mut(|accounts| {
            // Envoy gives the same name the same number.
            let known = accounts.iter().position(|known| *known == opened);
            let place = known.unwrap_or_else(|| {
                accounts.push(opened);
                accounts.len() - 1
            });
            u32::try_from(place).ok().map(AccountId)
        })
    }

    fn post(&self, account: AccountId, entry: Entry, by: i64) {
        if let Some(metric) = metric_of(account, entry) {
            report("a metric", abi::adjust(metric, by));
        }
    }

    fn set(&self, account: AccountId, entry: Entry, to: u64) {
        if let Some(metric) = metric_of(account, entry) {
            report("a metric", abi::record(metric, to));
        }
    }

    fn total(&self, account: AccountId, entry: Entry) -> u64 {
        let metric = metric_of(account, entry);
        let total = metric.and_then(|metric| abi::metric(metric).ok());
        total.unwrap_or(0)
    }
}

impl Cells<PageId> for Process {
    fn update<T>(
        &self,
        page: PageId,
        step: impl FnMut(&mut Page) -> Update<T>,
    ) -> Result<T, Contended> {
        // Pages belong to no plan.
        shared_data::update_cell(page, &CellNames::default(), vm::worker, step)
    }
}

impl Journals for Process {
    fn worker(&self) -> Option<WorkerId> {
        vm::worker()
    }
}

fn define(budget: &Labels, entry: Entry) -> Option<u32> {
    let family = entry.family();
    let name = budget.dotted(family.name);
    let defined = match family.kind {
        MetricKind::Counter => abi::define_counter(&name),
        MetricKind::Gauge => abi::define_gauge(&name),
        MetricKind::Histogram => abi::define_histogram(&name),
    };
    defined.ok()
}

fn metric_of(account: AccountId, entry: Entry) -> Option<u32> {
    ACCOUNTS.with_borrow(|accounts| {
        let metrics = accounts.get(usize::try_from(account.0).ok()?)?;
        let mut entries = Entry::ALL.iter().zip(metrics);
        let found = entries.find(|(known, _)| **known == entry);
        found.map(|(_, metric)| *metric)
    })
}
