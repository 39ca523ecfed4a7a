//! The bound, against a router and a clock that the test makes up.

use std::collections::BTreeSet;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use btp_policy::PluginConfig;
use proptest::prelude::*;

use super::*;
use crate::testing::SharedAccounts;

const MS: u64 = 1_000_000;

fn constraint(text: &str) -> RetryConstraint {
    let text = format!(
        r#"{{"policies":[{{"metadata":{{"name":"p"}},"spec":{{"retryConstraint":{text}}}}}]}}"#
    );
    let mut config = PluginConfig::parse(text.as_bytes()).unwrap();
    config.policies.remove(0).spec.retry_constraint.unwrap()
}

fn config(text: &str) -> BudgetConfig {
    BudgetConfig::of(&constraint(text))
}

fn labels() -> Labels {
    Labels {
        namespace: "n".to_owned(),
        policy: "b".to_owned(),
        part: None,
        class: None,
    }
}

fn budget(text: &str, accounts: &SharedAccounts) -> Budget {
    Budget::open(&labels(), config(text), accounts, 0).unwrap()
}

/// Credits to be had at once.
fn all(budget: &mut Budget, accounts: &SharedAccounts, now: u64) -> usize {
    std::iter::from_fn(|| {
        let hold = budget.withdraw(accounts, now)?;
        budget.spend(accounts, now, hold);
        Some(())
    })
    .take(10_000)
    .count()
}

#[test]
fn the_floor_has_a_rate_of_its_own() {
    for (text, burst, span_ms) in [
        ("{}", 10, 1_000),
        (r#"{"minRetryRate":{"count":3,"interval":"2s"}}"#, 2, 1_334),
        (
            r#"{"minRetryRate":{"count":1,"interval":"1h"}}"#,
            1,
            3_600_000,
        ),
        (
            r#"{"minRetryRate":{"count":500,"interval":"1s"}}"#,
            500,
            1_000,
        ),
    ] {
        let accounts = SharedAccounts::default();
        let mut budget = budget(text, &accounts);
        assert_eq!(all(&mut budget, &accounts, 0), burst, "{text}");
        assert_eq!(all(&mut budget, &accounts, span_ms * MS / 2), 0, "{text}");
        assert_eq!(all(&mut budget, &accounts, span_ms * MS), burst, "{text}");
    }
}

#[test]
fn requests_pay_their_share_exactly() {
    for (percent, requests, retries) in [(20, 1_000, 200), (33, 100, 33), (1, 99, 0), (60, 5, 3)] {
        let accounts = SharedAccounts::default();
        let mut budget = budget(
            &format!(r#"{{"budget":{{"percent":{percent}}}}}"#),
            &accounts,
        );
        for _ in 0..requests {
            budget.deposit(&accounts, 5 * MS);
        }
        let floor = 10;
        assert_eq!(
            all(&mut budget, &accounts, 5 * MS),
            retries + floor,
            "{percent} %"
        );
    }
}

#[test]
fn nothing_percent_leaves_the_floor() {
    let accounts = SharedAccounts::default();
    let mut budget = budget(r#"{"budget":{"percent":0}}"#, &accounts);
    for _ in 0..1_000 {
        budget.deposit(&accounts, 0);
    }
    assert_eq!(all(&mut budget, &accounts, 0), 10);
}

#[test]
fn what_is_not_used_comes_back() {
    let accounts = SharedAccounts::default();
    let mut budget = budget("{}", &accounts);
    let holds: Vec<Allowance> = std::iter::from_fn(|| budget.withdraw(&accounts, 0)).collect();
    assert_eq!(holds.len(), 10);
    assert!(!budget.has_credit(&accounts, 0));
    // However old it is: a hold is counted until it is given back.
    assert!(!budget.has_credit(&accounts, 60_000 * MS));
    for hold in holds {
        budget.refund(&accounts, hold);
    }
    assert!(budget.has_credit(&accounts, 0));
    assert_eq!(all(&mut budget, &accounts, 0), 10);
}

#[test]
fn a_reset_of_the_counters_gives_nothing_away() {
    let accounts = SharedAccounts::default();
    let mut budget = budget("{}", &accounts);
    for _ in 0..100 {
        budget.deposit(&accounts, 0);
    }
    assert_eq!(all(&mut budget, &accounts, 0), 30);
    for name in ["requests", "retries", "min_retries"] {
        accounts.reset(&format!("btp.n.b.retry_budget_{name}"));
    }
    assert_eq!(all(&mut budget, &accounts, MS), 0);
    for _ in 0..10 {
        budget.deposit(&accounts, 2 * MS);
    }
    assert_eq!(all(&mut budget, &accounts, 2 * MS), 2);
}

/// What it cannot know it takes to be spent.
#[test]
fn a_worker_that_comes_late_gives_nothing_away() {
    let accounts = SharedAccounts::default();
    let mut first = budget("{}", &accounts);
    for _ in 0..100 {
        first.deposit(&accounts, 0);
    }
    assert_eq!(all(&mut first, &accounts, 0), 30);
    let mut late = Budget::open(&labels(), config("{}"), &accounts, MS).unwrap();
    assert_eq!(all(&mut late, &accounts, MS), 0);
    // An interval later it has seen all of it itself.
    late.deposit(&accounts, 5_000 * MS);
    for _ in 0..50 {
        late.deposit(&accounts, 6_000 * MS);
    }
    assert_eq!(all(&mut late, &accounts, 10_002 * MS), 10 + 10);
}

#[test]
fn other_terms_keep_what_has_happened() {
    let accounts = SharedAccounts::default();
    let mut budget = budget("{}", &accounts);
    for _ in 0..100 {
        budget.deposit(&accounts, 0);
    }
    assert_eq!(all(&mut budget, &accounts, 0), 30);
    budget.reconfigure(config(r#"{"budget":{"percent":50}}"#));
    assert_eq!(all(&mut budget, &accounts, 0), 30);
}

/// A retry as the simulation knows it.
#[derive(Clone, Copy, Debug)]
struct Granted {
    at: u64,
    hold: Allowance,
}

/// One worker's view and the requests under way everywhere.
struct World {
    accounts: SharedAccounts,
    config: BudgetConfig,
    /// Each opens its account when it first has to do with it.
    workers: Vec<Option<Budget>>,
    requests: Vec<u64>,
    granted: Vec<Granted>,
    /// Time, kind, worker and hold of what comes.
    coming: BTreeSet<(u64, u64, Step)>,
    serial: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Attempt `.1` of a request is answered at worker `.0`.
    Answer(usize, u32),
    /// The back-off of a held retry is over: it goes, or the client went.
    Retry(usize, u32, bool, bool),
}

impl World {
    fn worker(&mut self, index: usize, now: u64) -> &mut Budget {
        let (config, accounts) = (self.config, &self.accounts);
        self.workers[index]
            .get_or_insert_with(|| Budget::open(&labels(), config, accounts, now).unwrap())
    }

    fn later(&mut self, at: u64, step: Step) {
        self.serial += 1;
        self.coming.insert((at, self.serial, step));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Over every interval that ends at a retry: what requests pay for is at
    /// most percent·requests, and the floor at most minRetryRate·interval +
    /// one second of it. Retries are counted when they go, requests from when
    /// the credit was taken.
    #[test]
    fn the_bound_holds_over_every_interval(
        workers in 1_usize..=4,
        percent in 0_u32..=100,
        (count, every_s) in prop_oneof![Just((10_u64, 1_u64)), Just((1, 5)), Just((3, 2)), Just((50, 1))],
        latency_ms in prop_oneof![Just(1_u64), Just(200), Just(3_000)],
        failing in 0_u32..=100,
        seed in any::<u64>(),
        bursts in proptest::collection::vec((1_u64..400, 1_u64..3_000), 1..12),
    ) {
        const INTERVAL: u64 = 2_000 * MS;
        let text = format!(
            r#"{{"budget":{{"percent":{percent},"interval":"2s"}},
                 "minRetryRate":{{"count":{count},"interval":"{every_s}s"}}}}"#
        );
        let accounts = SharedAccounts::default();
        let mut world = World {
            workers: (0..workers).map(|_| None).collect(),
            config: config(&text),
            accounts: accounts.clone(),
            requests: Vec::new(),
            granted: Vec::new(),
            coming: BTreeSet::new(),
            serial: 0,
        };
        let mut dice = seed | 1;
        let mut roll = |below: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % below.max(1)
        };
        let mut now = 0;
        for (requests, time_ms) in bursts {
            for _ in 0..requests {
                let at = now + roll(time_ms * MS);
                // The first worker does most; others come late.
                let worker = roll(workers as u64).min(roll(100) / 10);
                let worker = usize::try_from(worker).unwrap();
                world.later(at, Step::Answer(worker, 0));
            }
            now += time_ms * MS;
        }
        while let Some((now, _, step)) = world.coming.pop_first() {
            match step {
                Step::Answer(worker, 0) => {
                    world.worker(worker, now).deposit(&accounts, now);
                    world.requests.push(now);
                    let at = now + 1 + roll(latency_ms * MS);
                    world.later(at, Step::Answer(worker, 1));
                }
                Step::Answer(worker, number) => {
                    if roll(100) < u64::from(failing)
                        && number < 4
                        && let Some(hold) = world.worker(worker, now).withdraw(&accounts, now)
                    {
                        let at = now + roll(50 * MS);
                        let goes = roll(10) > 0;
                        let share = hold == Allowance::Share;
                        world.later(at, Step::Retry(worker, number, share, goes));
                    }
                }
                Step::Retry(worker, number, share, goes) => {
                    let hold = if share { Allowance::Share } else { Allowance::Floor };
                    if goes {
                        world.worker(worker, now).spend(&accounts, now, hold);
                        world.granted.push(Granted { at: now, hold });
                        let at = now + 1 + roll(latency_ms * MS);
                        world.later(at, Step::Answer(worker, number + 1));
                    } else {
                        world.worker(worker, now).refund(&accounts, hold);
                    }
                }
            }
        }
        check(&world, u64::from(percent), (count, every_s), INTERVAL, &text)?;
    }
}

fn check(
    world: &World,
    percent: u64,
    (count, every_s): (u64, u64),
    interval: u64,
    text: &str,
) -> Result<(), TestCaseError> {
    const BACK_OFF: u64 = 50 * MS;
    let burst = count.div_ceil(every_s);
    for last in &world.granted {
        let after = last.at.saturating_sub(interval);
        let within = |at: &u64| *at > after && *at <= last.at;
        let retries = world.granted.iter().filter(|it| within(&it.at));
        let shared = retries
            .clone()
            .filter(|it| it.hold == Allowance::Share)
            .count() as u64;
        let all = retries.count() as u64;
        // The credit was taken up to a back-off before it was used.
        let paying = |at: &u64| *at > after.saturating_sub(BACK_OFF) && *at <= last.at;
        let requests = world.requests.iter().filter(|at| paying(at)).count() as u64;
        if last.hold == Allowance::Share {
            prop_assert!(
                shared * 100 <= percent * requests,
                "{shared} of {requests}: {text}"
            );
        }
        let floor = count * (interval / 1_000 / MS) / every_s + burst;
        prop_assert!(
            all - shared <= floor,
            "{} of the floor: {text}",
            all - shared
        );
    }
    // Nothing stays held.
    for name in ["debug_held", "debug_min_held"] {
        prop_assert_eq!(
            world.accounts.get(&format!("btp.n.b.retry_budget_{name}")),
            0
        );
    }
    Ok(())
}

/// Workers on threads of their own, all after the same few credits.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn threads_take_no_more_than_there_is() {
    const THREADS: usize = 4;
    for round in 0..20 {
        let accounts = SharedAccounts::default();
        let granted: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let accounts = accounts.clone();
                    scope.spawn(move || {
                        let mut budget = budget("{}", &accounts);
                        for _ in 0..100 {
                            budget.deposit(&accounts, MS);
                        }
                        let hold = |_| budget.withdraw(&accounts, 2 * MS);
                        (0..200).filter_map(hold).collect::<Vec<_>>().len()
                    })
                })
                .collect();
            workers.into_iter().map(|it| it.join().unwrap()).sum()
        });
        let most = 100 * THREADS / 5 + 10;
        assert!((11..=most).contains(&granted), "round {round}: {granted}");
    }
}
