//! Workers that die and configurations that go while nobody needs anything.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use btp_policy::PluginConfig;
use proptest::prelude::*;

use crate::GaugeId;
use crate::action::Action;
use crate::exchange::Exchange;
use crate::host::shared_state::{CellKind, Claims};
use crate::plan::Plan;
use crate::shared::liveness::HEARTBEAT_NS;
use crate::testing::FakeHost;
use crate::testing::feed;
use crate::worker::Worker;

const SECOND: u64 = 1_000_000_000;
/// As the docs promise.
const FREE_NS: u64 = 13 * SECOND;

/// A proxy with several workers; the last one is the main thread's, to which
/// nobody sends anything and which never dies.
struct Sim {
    plan: Plan,
    workers: Vec<Worker>,
    host: FakeHost,
    gauges: BTreeMap<String, i64>,
}

fn plan(config: &str) -> Plan {
    Plan::compile(PluginConfig::parse(config.as_bytes()).unwrap())
}

/// Everything that is counted: two rules that share tables, a large bound,
/// waits and bodies.
fn everything() -> Plan {
    with_tables_for(64)
}

/// Everything, with tables for so many clients.
fn with_tables_for(clients: u32) -> Plan {
    let limits =
        format!(r#"{{"allowOnHeadersStopIteration":true,"limits":{{"distinctKeys":{clients}}},"#);
    plan(
        &(limits
            + r#"
        "policies":[{"metadata":{"name":"p"},"spec":{
            "rateLimit":{"local":{"rules":[
                {"name":"user","clientSelectors":[{"headers":[{"name":"x-user","type":"Distinct"}]}],
                 "concurrency":{"max":2}},
                {"name":"team","clientSelectors":[{"headers":[{"name":"x-team","type":"Distinct"}]}],
                 "concurrency":{"max":3}},
                {"name":"all","clientSelectors":[{"methods":[{"value":"POST"}]}],
                 "concurrency":{"max":6400}}]}},
            "faultInjection":{"delay":{"fixedDelay":"1h"},"maxActive":100,
                "match":[{"headers":[{"name":"x-wait","value":"yes"}]}]},
            "requestBuffer":{"limit":100000,"mode":"Buffer","maxTotal":1000000}}}]}"#),
    )
}

impl Sim {
    fn new(plan: Plan, workers: usize) -> Self {
        let mut sim = Self {
            host: FakeHost::new(&plan),
            plan,
            workers: Vec::new(),
            gauges: BTreeMap::new(),
        };
        sim.host.now_ns = 1_000 * SECOND;
        for index in 0..=workers {
            sim.workers.push(Worker::new(&sim.plan));
            sim.start(index);
        }
        sim
    }

    fn act(
        &mut self,
        worker: usize,
        act: impl FnOnce(&mut Worker, &Plan, &mut FakeHost, &mut Vec<Action>),
    ) {
        let mut out = Vec::new();
        let worker = &mut self.workers[worker];
        act(worker, &self.plan, &mut self.host, &mut out);
        for action in out {
            if let Action::Adjust(GaugeId(gauge), by) = action {
                let name = self.plan.gauges()[gauge as usize].to_string();
                *self.gauges.entry(name).or_default() += by;
            }
        }
    }

    fn start(&mut self, worker: usize) {
        self.act(worker, |worker, plan, host, out| {
            worker.start(plan, &mut crate::event::Event::new(host, out))
        });
    }

    /// A request of all rules that matches what there is to match.
    fn open(&mut self, worker: usize, headers: &[(&str, &str)]) -> Exchange {
        let own = headers.iter().copied();
        let all = own.chain([(":method", "POST"), ("content-length", "500")]);
        self.host.request_headers = all
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .collect();
        let mut exchange = Exchange::default();
        self.act(worker, |worker, plan, host, out| {
            let _ = feed(plan, worker, host, out, |cx| {
                exchange.request_headers(cx, false)
            });
        });
        exchange
    }

    fn close(&mut self, worker: usize, mut exchange: Exchange) {
        self.act(worker, |worker, plan, host, out| {
            feed(plan, worker, host, out, |cx| exchange.done(cx));
        });
    }

    fn retire(&mut self, worker: usize) {
        self.act(worker, |worker, plan, host, out| {
            worker.retire(plan, &mut crate::event::Event::new(host, out))
        });
    }

    /// The worker's VM dies; with `again` a new one starts.
    fn die(&mut self, worker: usize, again: bool) {
        self.workers[worker] = Worker::new(&self.plan);
        if again {
            self.start(worker);
        }
    }

    fn pass_time(&mut self, nanos: u64) {
        let end = self.host.now_ns + nanos;
        loop {
            let due = self.workers.iter().enumerate();
            let due = due.filter_map(|(index, worker)| Some((worker.wakes_at()?, index)));
            let Some((at, index)) = due.min().filter(|(at, _)| *at <= end) else {
                break;
            };
            self.host.now_ns = at.max(self.host.now_ns);
            self.act(index, |worker, plan, host, out| {
                worker.tick(plan, &mut crate::event::Event::new(host, out))
            });
        }
        self.host.now_ns = end;
    }

    fn held(&self) -> i64 {
        self.gauges.values().sum()
    }

    /// Whether nobody holds anything, and no gauge says so.
    fn is_all_free(&self) -> bool {
        let names = [CellKind::Quota, CellKind::SharedQuota].map(|kind| self.plan.cells().of(kind));
        let mut claims = names.into_iter().flat_map(|names| names.iter());
        self.gauges.values().all(|level| *level == 0)
            && claims.all(|name| self.host.cells.get::<Claims>(&name).0.is_empty())
    }
}

const ALL: [(&str, &str); 2] = [("x-user", "ada"), ("x-team", "red")];
const WAITS: [(&str, &str); 1] = [("x-wait", "yes")];

#[test]
fn what_the_dead_held_is_dropped_though_nobody_needs_it() {
    for again in [false, true] {
        let mut sim = Sim::new(everything(), 2);
        let _lost = (sim.open(0, &ALL), sim.open(0, &WAITS), sim.open(0, &ALL));
        let stays = sim.open(1, &[("x-user", "bob"), ("x-team", "red")]);
        let names: Vec<&str> = sim.gauges.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 5, "{names:?}");
        // Who lives keeps what it holds.
        sim.pass_time(60 * SECOND);
        assert_eq!(sim.held(), 3 + 3 + 3 + 1 + 1_500);
        sim.die(0, again);
        sim.pass_time(FREE_NS);
        let left: Vec<(&str, i64)> = sim.gauges.iter().map(|(name, it)| (&**name, *it)).collect();
        assert_eq!(left.len(), 5);
        for (name, level) in left {
            let expected = match name {
                name if name.contains("in_flight") => 1,
                name if name.contains("buffer_bytes") => 500,
                _ => 0,
            };
            assert_eq!(level, expected, "{name}");
        }
        sim.close(1, stays);
        sim.pass_time(HEARTBEAT_NS);
        assert!(sim.is_all_free(), "{:?}", sim.gauges);
    }
}

/// Dead workers are found even if all serving workers are dead and no new VM starts.
#[test]
fn the_main_threads_worker_looks_if_all_others_are_dead() {
    let mut sim = Sim::new(everything(), 2);
    for worker in [0, 1] {
        let _lost = (sim.open(worker, &ALL), sim.open(worker, &WAITS));
        sim.pass_time(SECOND);
        sim.die(worker, false);
    }
    assert!(sim.held() > 0);
    sim.pass_time(FREE_NS);
    assert!(sim.is_all_free(), "{:?}", sim.gauges);
}

/// To look through all tables takes a while, and who dies meanwhile is found.
#[test]
fn who_dies_while_the_tables_are_gone_through_is_found() {
    for after_ms in [0, 1, 10, 20, 30, 40, 60, 1_000] {
        let mut sim = Sim::new(with_tables_for(65_536), 1);
        sim.pass_time(after_ms * SECOND / 1_000);
        let _lost = (sim.open(0, &ALL), sim.open(0, &WAITS));
        sim.die(0, false);
        sim.pass_time(FREE_NS);
        assert!(sim.is_all_free(), "{after_ms} ms: {:?}", sim.gauges);
    }
}

/// What was left when no plan had the rule, or before anybody can remember, is
/// found by the plan that brings it back.
#[test]
fn a_new_plan_looks_at_all_its_tables_once() {
    let mut sim = Sim::new(everything(), 1);
    let _lost = sim.open(0, &ALL);
    for worker in [0, 1] {
        sim.die(worker, false);
    }
    sim.pass_time(3_600 * SECOND);
    assert!(!sim.is_all_free());
    sim.start(0);
    sim.pass_time(FREE_NS);
    assert!(sim.is_all_free(), "{:?}", sim.gauges);
}

#[test]
fn a_plan_that_counts_nothing_is_never_woken() {
    let mut sim = Sim::new(plan(r#"{"policies":[]}"#), 1);
    assert!(sim.workers.iter().all(|worker| worker.wakes_at().is_none()));
    sim.pass_time(SECOND);
}

/// One look in 8 to 12 s.
#[test]
fn an_idle_proxy_is_woken_seldom() {
    let mut sim = Sim::new(everything(), 1);
    sim.pass_time(100 * SECOND);
    let mut wakes = 0;
    while let Some(at) = sim.workers[1].wakes_at().filter(|at| *at < 1_340 * SECOND) {
        sim.pass_time(at - sim.host.now_ns);
        wakes += 1;
    }
    assert!((19..=30).contains(&wakes), "{wakes} in 240 s");
}

#[test]
fn who_retires_keeps_what_is_in_flight_and_nothing_else() {
    let mut sim = Sim::new(everything(), 1);
    let open: Vec<Exchange> = (0..150).map(|_| sim.open(0, &[])).collect();
    let all = "btp.default.p.rate_limit.all.in_flight";
    assert_eq!(sim.gauges[all], 200);
    sim.retire(0);
    assert_eq!(sim.gauges[all], 150);
    for (left, exchange) in (0..150).rev().zip(open) {
        sim.close(0, exchange);
        assert_eq!(sim.gauges[all], left);
    }
    sim.retire(0);
    assert!(sim.is_all_free(), "{:?}", sim.gauges);
    // It was the wrong one: it goes on as before.
    let open: Vec<Exchange> = (0..150).map(|_| sim.open(0, &[])).collect();
    assert_eq!(sim.gauges[all], 200);
    drop(open);
}

/// A quiet worker whose one request takes its time keeps nothing ahead for
/// others.
#[test]
fn what_is_taken_ahead_goes_back_when_nothing_comes() {
    let mut sim = Sim::new(everything(), 1);
    let all = "btp.default.p.rate_limit.all.in_flight";
    let long = sim.open(0, &[]);
    assert_eq!(sim.gauges[all], 100);
    sim.pass_time(2 * HEARTBEAT_NS);
    assert_eq!(sim.gauges[all], 1);
    sim.close(0, long);
    sim.pass_time(HEARTBEAT_NS);
    assert!(sim.is_all_free());
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Open(usize, usize),
    Close(usize),
    Time(u64),
    Die(usize, bool),
    Retire(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0_usize..3, 0_usize..4).prop_map(|(worker, kind)| Event::Open(worker, kind)),
        6 => (0_usize..1_000).prop_map(Event::Close),
        2 => (0_u64..6 * SECOND).prop_map(Event::Time),
        1 => (0_usize..3, any::<bool>()).prop_map(|(worker, again)| Event::Die(worker, again)),
        1 => (0_usize..3).prop_map(Event::Retire),
    ]
}

proptest! {
    /// Whatever happens in whatever order: 13 s after the last request all is
    /// as if nothing had ever been.
    #[test]
    fn nothing_is_left_on_an_idle_proxy(events in proptest::collection::vec(event(), 1..200)) {
        let mut sim = Sim::new(everything(), 3);
        let mut open: Vec<(usize, Exchange)> = Vec::new();
        for event in events {
            match event {
                Event::Open(worker, kind) => {
                    let headers: &[_] = match kind {
                        0 => &ALL,
                        1 => &ALL[..1],
                        2 => &WAITS,
                        _ => &[],
                    };
                    if sim.workers[worker].wakes_at().is_none() {
                        sim.start(worker);
                    }
                    open.push((worker, sim.open(worker, headers)));
                }
                Event::Close(index) => {
                    if !open.is_empty() {
                        let (worker, exchange) = open.remove(index % open.len());
                        sim.close(worker, exchange);
                    }
                }
                Event::Time(nanos) => sim.pass_time(nanos),
                Event::Die(worker, again) => {
                    open.retain(|(own, _)| *own != worker);
                    sim.die(worker, again);
                }
                Event::Retire(worker) => sim.retire(worker),
            }
            prop_assert!(sim.gauges.values().all(|level| *level >= 0), "{:?}", sim.gauges);
        }
        for (worker, exchange) in open {
            sim.close(worker, exchange);
        }
        sim.pass_time(FREE_NS);
        prop_assert!(sim.is_all_free(), "{:?}", sim.gauges);
    }
}
