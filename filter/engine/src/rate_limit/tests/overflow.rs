//! Clients for whom there is no slot, and those who get or lose one.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::worker::Worker;

/// Two rules in a table of 128 slots; debts of one last for 10 s.
const RULES: &str = r#"{"rules":[
    {"name":"fill","shared":true,"limit":{"requests":1,"unit":"Second","burst":10},
     "cost":{"request":{"from":"Number","number":10}},
     "clientSelectors":[{"headers":[{"name":"x-fill","type":"Distinct"}]}]},
    {"name":"seen","shared":true,"limit":{"requests":3,"unit":"Minute"},
     "clientSelectors":[{"headers":[{"name":"x-seen","type":"Distinct"}]}]}]}"#;
const FULL_TABLE: u32 = 400;

fn full_table(workers: usize) -> Sim {
    Sim::new(
        workers,
        plan_with(RULES, r#","limits":{"distinctKeys":64}"#),
    )
}

fn fill(sim: &mut Sim) {
    for key in 0..FULL_TABLE {
        sim.passes_with("x-fill", &key.to_string());
    }
}

fn seen(sim: &mut Sim, worker: usize, key: usize) -> bool {
    sim.request(worker, &[("x-seen", &key.to_string())])
        .passed()
}

/// What a client gets who has no slot; rounding delays the last one.
fn all_of(sim: &mut Sim, key: usize) -> usize {
    let now = (0..9)
        .filter(|turn| seen(sim, turn % sim.workers.len(), key))
        .count();
    sim.host.now_ns += SECOND / 20;
    now + (0..9)
        .filter(|turn| seen(sim, turn % sim.workers.len(), key))
        .count()
}

#[test]
fn who_gets_a_slot_begins_with_what_it_has_used_without_one() {
    let mut sim = full_table(2);
    fill(&mut sim);
    assert_eq!(all_of(&mut sim, 7), 3);
    assert!(sim.counter("seen.overflows") > 0);
    let (before, start) = (sim.counter("seen.overflows"), sim.host.now_ns);
    // The others have paid their debts: there are slots again.
    sim.host.now_ns += 11 * SECOND;
    assert!(!seen(&mut sim, 0, 7) && !seen(&mut sim, 1, 7));
    sim.host.now_ns = start + 20 * SECOND + SECOND / 10;
    assert!(seen(&mut sim, 0, 7) && !seen(&mut sim, 1, 7));
    assert_eq!(sim.counter("seen.overflows"), before);
    // A stranger has all of its limit.
    assert_eq!((0..9).filter(|_| seen(&mut sim, 0, 8)).count(), 3);
}

#[test]
fn who_loses_its_slot_has_used_nothing() {
    let mut sim = full_table(1);
    assert_eq!((0..9).filter(|_| seen(&mut sim, 0, 7)).count(), 3);
    assert_eq!(sim.counter("seen.overflows"), 0);
    fill(&mut sim);
    assert!(!seen(&mut sim, 0, 7), "a debtor keeps its slot");
    sim.host.now_ns += 61 * SECOND;
    fill(&mut sim);
    assert_eq!(all_of(&mut sim, 7), 3);
    assert!(sim.counter("seen.overflows") > 0);
}

#[test]
fn those_without_a_slot_do_not_share_one_bucket() {
    let mut sim = full_table(1);
    fill(&mut sim);
    let passed = (0..100).filter(|key| all_of(&mut sim, *key) == 3);
    assert!(passed.count() >= 90);
    assert!(sim.counter("seen.overflows") >= 300);
}

/// What other rules refuse after this one has paid stays with the worker, and
/// costs one token at most, however often it happens.
#[test]
fn requests_that_are_refused_after_all_cost_one_token_at_most() {
    let local = r#"{"rules":[
        {"name":"fill","shared":true,"limit":{"requests":1,"unit":"Year"},
         "clientSelectors":[{"headers":[{"name":"x-fill","type":"Distinct"}]}]},
        {"name":"seen","shared":true,"limit":{"requests":3,"unit":"Hour"},
         "clientSelectors":[{"headers":[{"name":"x-seen","type":"Distinct"}]}]},
        {"name":"no","clientSelectors":[{"headers":[{"name":"x-no","value":"1"}]}],
         "limit":{"requests":1,"unit":"Year"}}]}"#;
    let mut sim = Sim::new(1, plan_with(local, r#","limits":{"distinctKeys":64}"#));
    fill(&mut sim);
    assert!(sim.passes_with("x-no", "1"));
    sim.workers[0] = Worker::new(&sim.plan);
    for _ in 0..20 {
        let refused = sim.request(0, &[("x-seen", "7"), ("x-no", "1")]);
        assert!(!refused.passed());
        sim.host.now_ns += 1;
    }
    sim.host.now_ns += SECOND;
    let passed = (0..9).filter(|_| seen(&mut sim, 0, 7)).count();
    assert!((2..=3).contains(&passed), "{passed}");
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Fill(u32),
    Ask(usize, usize, usize),
    Time(u64),
    Forget(usize),
    Change,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0_u32..FULL_TABLE).prop_map(Event::Fill),
        6 => (0_usize..3, 0_usize..12, 1_usize..5).prop_map(|(w, k, n)| Event::Ask(w, k, n)),
        2 => (0_u64..25 * SECOND).prop_map(Event::Time),
        1 => (0_usize..3).prop_map(Event::Forget),
        1 => Just(Event::Change),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The table is full, or half empty, in turns: whoever moves between a
    /// slot and none gets in any time x no more than burst + rate · x.
    #[test]
    fn no_client_gets_more_than_its_limit_whatever_slots_there_are(
        events in prop::collection::vec(event(), 20..150),
    ) {
        let mut sim = full_table(3);
        fill(&mut sim);
        let mut admitted = vec![Vec::new(); 12];
        for event in events {
            match event {
                Event::Fill(count) => for key in 0..count {
                    sim.passes_with("x-fill", &key.to_string());
                },
                Event::Ask(worker, key, count) => for _ in 0..count {
                    if seen(&mut sim, worker, key) {
                        admitted[key].push(sim.host.now_ns);
                    }
                },
                Event::Time(nanos) => sim.host.now_ns += nanos,
                // A worker's VM dies.
                Event::Forget(worker) => sim.workers[worker] = Worker::new(&sim.plan),
                // An update that changes nothing here.
                Event::Change => {
                    let plan = plan_with(RULES, r#","limits":{"distinctKeys":64}"#);
                    sim.reload(plan);
                }
            }
        }
        for times in admitted {
            for (i, from) in times.iter().enumerate() {
                for (j, to) in times.iter().enumerate().skip(i) {
                    let most = 3 * 60 * SECOND + (to - from) * 3 + 3;
                    prop_assert!((j - i + 1) as u64 * 60 * SECOND <= most, "{times:?}");
                }
            }
        }
    }
}
