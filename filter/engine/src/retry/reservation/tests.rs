//! What is held of budgets by workers that live and die.

use proptest::prelude::*;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;

use super::*;
use crate::host::metrics::{Label, Labels};
use crate::retry::budget::BudgetConfig;
use crate::testing::FakeHost;

/// So many that some share a page.
const BUDGETS: usize = 24;
/// Credit that each of them has.
const FLOOR: usize = 7;

/// A worker, its budgets and what it holds of them.
struct ClaimTracker {
    host: FakeHost,
    budgets: Vec<Budget>,
    held: Vec<(usize, Reservation)>,
}

fn labels(budget: usize) -> Labels {
    Labels {
        namespace: "default".to_owned(),
        policy: "p".to_owned(),
        part: Some((Label::Route, budget.to_string())),
        class: None,
    }
}

impl ClaimTracker {
    fn new(number: u32, id: u64, proxy: &FakeHost) -> Self {
        let text = format!(
            r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"retryConstraint":
                {{"minRetryRate":{{"count":{FLOOR},"interval":"1s"}}}}}}}}]}}"#
        );
        let mut config = PluginConfig::parse(text.as_bytes()).unwrap();
        let config = BudgetConfig::of(&config.policies.remove(0).spec.retry_constraint.unwrap());
        let mut host = FakeHost::default();
        host.accounts = proxy.accounts.clone();
        host.cells = proxy.cells.clone();
        host.worker = Some(WorkerId { number, id });
        let open = |budget| Budget::open(&labels(budget), config, &host, 0).unwrap();
        Self {
            budgets: (0..BUDGETS).map(open).collect(),
            held: Vec::new(),
            host,
        }
    }

    fn take(&mut self, budget: usize) -> bool {
        let held = Reservation::take(&mut self.budgets[budget], &self.host, 0);
        self.held.extend(held.map(|held| (budget, held)));
        held.is_some()
    }

    fn refund(&mut self) {
        if let Some((budget, held)) = self.held.pop() {
            held.refund(&mut self.budgets[budget], &self.host);
        }
    }

    fn spend(&mut self) {
        if let Some((budget, held)) = self.held.pop() {
            held.spend(&mut self.budgets[budget], &self.host, 0);
        }
    }

    fn of(&self, budget: usize) -> u64 {
        self.held.iter().filter(|(of, _)| *of == budget).count() as u64
    }
}

fn gauge(proxy: &FakeHost, budget: usize) -> u64 {
    let of = |gauge| {
        proxy
            .accounts
            .get(&labels(budget).dotted(&format!("retry_budget_{gauge}")))
    };
    of("debug_held") + of("debug_min_held")
}

#[test]
fn some_budgets_share_a_page() {
    let worker = WorkerId { number: 0, id: 5 };
    let pages: std::collections::BTreeSet<u32> = (0..BUDGETS)
        .map(|budget| PageId::of(worker, &labels(budget)).page)
        .collect();
    assert!(pages.len() < BUDGETS && pages.len() > BUDGETS / 2);
    assert!(pages.iter().all(|page| *page < PAGES));
}

#[test]
fn what_a_dead_worker_held_is_credit_again() {
    let proxy = FakeHost::default();
    let (mut dead, mut lives) = (
        ClaimTracker::new(0, 5, &proxy),
        ClaimTracker::new(1, 6, &proxy),
    );
    while dead.take(3) {}
    dead.refund();
    assert!(lives.take(3) && !lives.take(3));
    recover(WorkerId { number: 0, id: 5 }, &lives.host);
    assert_eq!(gauge(&proxy, 3), 1);
    let more = std::iter::repeat_with(|| lives.take(3)).take_while(|it| *it);
    assert_eq!(more.count(), FLOOR - 1);
    // Nothing is found twice.
    recover(WorkerId { number: 0, id: 5 }, &lives.host);
    assert_eq!(gauge(&proxy, 3), FLOOR as u64);
}

#[test]
fn who_was_taken_for_dead_gives_nothing_back_again() {
    for is_known_to_it in [false, true] {
        let proxy = FakeHost::default();
        let mut stalled = ClaimTracker::new(0, 5, &proxy);
        assert!(stalled.take(1) && stalled.take(1) && stalled.take(2));
        recover(WorkerId { number: 0, id: 5 }, &stalled.host);
        let mut heir = ClaimTracker::new(0, 6, &proxy);
        assert!(heir.take(1));
        if is_known_to_it {
            stalled.host.worker = Some(WorkerId { number: 1, id: 5 });
            assert!(stalled.take(1));
            stalled.refund();
        } else {
            // Its heir has the page: it holds nothing more until it has another.
            assert!(!stalled.take(1));
        }
        stalled.spend();
        stalled.refund();
        assert_eq!((gauge(&proxy, 1), gauge(&proxy, 2)), (1, 0));
        let used = proxy
            .accounts
            .get(&labels(2).dotted("retry_budget_min_retries"));
        assert_eq!(used, 1, "a retry that happens is counted all the same");
    }
}

#[test]
fn without_a_journal_credit_is_held_all_the_same() {
    let proxy = FakeHost::default();
    let mut holder = ClaimTracker::new(0, 5, &proxy);
    holder.host.worker = None;
    assert!(holder.take(1));
    assert_eq!(gauge(&proxy, 1), 1);
    holder.refund();
    assert_eq!(gauge(&proxy, 1), 0);
}

proptest! {
    /// Whatever workers do and however they die: the gauges say what the living
    /// hold, as soon as the dead are known.
    #[test]
    fn gauges_say_what_the_living_hold(
        steps in prop::collection::vec((0_usize..3, 0_usize..BUDGETS, 0_u8..12), 1..300),
    ) {
        let proxy = FakeHost::default();
        let mut next_id = 9;
        let mut workers: Vec<ClaimTracker> = (0..3)
            .map(|number| ClaimTracker::new(number, u64::from(number) + 1, &proxy))
            .collect();
        for (index, budget, what) in steps {
            let worker = &mut workers[index];
            match what {
                0..=3 => { worker.take(budget % 3); }
                4..=5 => { worker.take(budget); }
                6..=8 => worker.refund(),
                9..=10 => worker.spend(),
                _ => {
                    let dead = worker.host.worker.unwrap();
                    recover(dead, &proxy);
                    next_id += 1;
                    workers[index] = ClaimTracker::new(dead.number, next_id, &proxy);
                }
            }
            for budget in [0, 1, 2, budget] {
                let held: u64 = workers.iter().map(|it| it.of(budget)).sum();
                prop_assert_eq!(gauge(&proxy, budget), held);
            }
        }
        for worker in &mut workers {
            while !worker.held.is_empty() {
                worker.refund();
            }
        }
        prop_assert!((0..BUDGETS).all(|budget| gauge(&proxy, budget) == 0));
    }
}
